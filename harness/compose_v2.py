"""Finds Docker Compose v2: the plugin that the machine has, or one fetched into the checkout."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import debian
from harness.debian import DebianError, Depends, Progress
from harness.errors import HarnessError
from harness.paths import STATE

#: The oldest release that knows everything that the stack's `compose.yaml` and the harness use.
MINIMUM = (2, 20)
PACKAGE, SUITE = "docker-compose", "forky"
PLUGIN = Path("usr/libexec/docker/cli-plugins/docker-compose")
TIMEOUT_SECONDS = 30


class ComposeMissingError(HarnessError):
    """There is no Compose v2 and none can be fetched; the message is one line that says what to install."""


def compose_command(*, folder: Path | None = None, progress: Progress = debian.quiet) -> list[str]:
    """The start of every Compose command line, such as ``["docker", "compose"]``.

    Where the machine has no plugin of version `MINIMUM` or later, the one of Debian's packages is fetched into
    `folder` (``.state/docker``), together with a script named ``docker`` that hands it the word ``compose`` and all
    else to the real ``docker``. It reads the user's own Docker settings, contexts and credentials and changes none
    of them. The result is always two words, of which the first does as anyone's ``docker``.

    Raises `ComposeMissingError`.
    """
    return list(_compose_command(folder or STATE / "docker", progress))


@functools.cache
def _compose_command(folder: Path, progress: Progress) -> tuple[str, ...]:
    docker = shutil.which("docker")
    found = _version((docker, "compose")) if docker else None
    if docker and found and found >= MINIMUM:
        return (docker, "compose")
    fetched = folder / "docker-compose"
    try:
        with debian.locked(folder / ".lock"):
            if not fetched.exists():
                _fetch(fetched, progress)
            script = _write_script(folder / "docker")
        if _version((str(script), "compose")) is None:
            raise DebianError(f"{fetched} does not run on this machine")
    except (DebianError, OSError) as error:
        has = f"is version {'.'.join(map(str, found))}" if found else "is not there"
        wanted = ".".join(map(str, MINIMUM))
        raise ComposeMissingError(
            f"Docker Compose {has} and cannot be fetched ({error}): install Docker's Compose plugin {wanted} or later "
            "(package docker-compose-plugin, docker-compose-v2 or docker-compose)"
        ) from None
    return (str(script), "compose")


_SCRIPT = """#!/bin/sh
if [ "$1" = compose ]; then shift; exec "${0%/*}/docker-compose" "$@"; fi
exec docker "$@"
"""


def _write_script(path: Path) -> Path:
    if not path.exists() or path.read_text(encoding="utf-8") != _SCRIPT:
        temporary = path.with_name(f".{path.name}-{os.getpid()}")
        temporary.write_text(_SCRIPT, encoding="utf-8")
        temporary.chmod(0o755)
        temporary.replace(path)
    return path


def _fetch(target: Path, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix=".docker-compose-", dir=target.parent) as temporary:
        tree = Path(temporary)
        debian.unpack([PACKAGE], tree, suite=SUITE, depends=Depends.NONE, cache=STATE / "apt", progress=progress)
        plugin = tree / PLUGIN
        if not plugin.is_file():
            raise DebianError(f"package {PACKAGE} of Debian {SUITE} no longer holds {PLUGIN}")
        plugin.replace(target)


def _version(command: tuple[str, ...]) -> tuple[int, ...] | None:
    """The version of this Compose, or None where it is missing, too old to say or broken."""
    try:
        done = subprocess.run(
            [*command, "version", "--short"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout.strip())
    return tuple(map(int, found.groups())) if done.returncode == 0 and found else None
