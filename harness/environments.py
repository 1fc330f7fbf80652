"""Python environments of their own, for what cannot live beside the project's: other Celery lines, another exporter."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STAMP = "requirements.sha256"
INSTALL_SECONDS = 600


class InstallError(RuntimeError):
    """The environment could not be made; the message ends with what the installer said last."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment that is ready to run.

    ``path`` is its folder.
    """

    path: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.path / "bin" / "python"

    def environ(self, **changes: str) -> dict[str, str]:
        """This process's environment variables without what points at its own packages, and with ``changes``."""
        kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
        return {**kept, "VIRTUAL_ENV": str(self.path), **changes}


def ensure(path: Path, requirements: Sequence[Path], *, options: Sequence[str] = ()) -> Environment:
    """Make the environment at ``path`` from pinned requirement files, unless it is there already.

    ``options`` are pip's own (such as ``--no-deps``). Safe to call from several processes at once: the first makes
    it, the others wait. An environment made from other pins, or half made, is made anew.

    Raises:
        InstallError: the interpreter could not make it, or the packages could not be installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = _digest(requirements, options)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = path / STAMP
        if not (stamp.is_file() and stamp.read_text() == wanted):
            shutil.rmtree(path, ignore_errors=True)
            environment = Environment(path)
            _run([sys.executable, "-m", "venv", str(path)], environment)
            listed = [word for file in requirements for word in ("--requirement", str(file))]
            _run([str(environment.python), "-m", "pip", "install", "--quiet", *options, *listed], environment)
            stamp.write_text(wanted)
    return Environment(path)


def _digest(requirements: Sequence[Path], options: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{sys.version_info[:2]} {' '.join(options)}".encode())
    for file in requirements:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _run(command: list[str], environment: Environment) -> None:
    try:
        done = subprocess.run(
            command,
            env=environment.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise InstallError(f"{environment.path}: still not made after {INSTALL_SECONDS} s") from late
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise InstallError(f"{environment.path}: {said or f'exit status {done.returncode}'}")
