"""RabbitMQ and Erlang out of Debian's packages, run where they were unpacked: no root, no chroot, no installation.

The whole closure of the package is unpacked, down to its C library, and every program of it is started through the
loader of that C library. So the machine's own release does not matter, and neither does what it has installed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness import debian
from harness.binaries import BIN, BinaryMissingError
from harness.debian import DebianError, Depends, Progress

SUITE_VARIABLE = "STACK_RABBITMQ_SUITE"
SUITE = "trixie"
# What the Erlang virtual machine starts from its folder of programs.
_STARTED = ("beam.smp", "epmd", "erl_child_setup", "erlexec", "inet_gethost")
_ELF = b"\x7fELF"
_START = """\
#!/bin/sh
here=$(cd "${{0%/*}}" && pwd) && tree=$here/{up}
exec "$tree/{loader}" --library-path "{libraries}" "$tree/{program}" "$@"
"""
_ERL = """\
#!/bin/sh
here=$(cd "${{0%/*}}" && pwd)
export ROOTDIR="$here/../../usr/lib/erlang" BINDIR="$here/../erts" EMU=beam PROGNAME=erl
exec "$here/../erts/erlexec" "$@"
"""


@dataclass(frozen=True)
class RabbitTree:
    """Where RabbitMQ was unpacked."""

    path: Path

    @property
    def erl(self) -> Path:
        """Starts an Erlang virtual machine."""
        return self.path / "run" / "bin" / "erl"

    @property
    def epmd(self) -> Path:
        """Erlang's port mapper."""
        return self.path / "run" / "erts" / "epmd"

    @property
    def home(self) -> Path:
        """RabbitMQ's own folder, the one with ``plugins``."""
        return _one(self.path, "usr/lib/rabbitmq/lib/rabbitmq_server-*")


def ensure(*, suite: str | None = None, folder: Path | None = None, progress: Progress = debian.quiet) -> RabbitTree:
    """RabbitMQ of a Debian suite, unpacked into ``.state/bin/trees`` on first use.

    ``suite`` is a code name; without it ``STACK_RABBITMQ_SUITE`` or ``trixie``. Safe to call from several processes
    at once. Raises ``BinaryMissingError``, with one line, where the packages cannot be had.
    """
    suite = suite or os.environ.get(SUITE_VARIABLE) or SUITE
    folder = folder or BIN
    tree = folder / "trees" / f"rabbitmq-{suite}"
    with debian.locked(folder / f".{tree.name}.lock"):
        if not tree.exists():
            tree.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{tree.name}-", dir=tree.parent))
            try:
                debian.unpack(
                    ("rabbitmq-server",),
                    staging,
                    suite=suite,
                    depends=Depends.ALL,
                    cache=folder / "apt",
                    progress=progress,
                )
                _write_starts(staging)
                staging.chmod(0o755)
                staging.rename(tree)
            except (DebianError, OSError) as error:
                raise BinaryMissingError(f"RabbitMQ cannot be fetched from Debian {suite}: {error}") from None
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return RabbitTree(tree)


def _write_starts(tree: Path) -> None:
    """Write the scripts through which the unpacked programs run; each finds the tree by its own place."""
    # Releases before trixie keep a part of their libraries in /lib, which is a folder of its own once unpacked.
    loader = _one(tree, "**/*-linux-gnu*/ld-linux*.so.*")
    folders = [path for shape in ("usr/lib", "lib") if (path := tree / shape / loader.parent.name).is_dir()]
    libraries = ":".join(f"$tree/{path.relative_to(tree)}" for path in folders)
    programs = _one(tree, "usr/lib/erlang/erts-*") / "bin"
    wrapped = [(tree / "run" / "erts" / name, programs / name) for name in _STARTED]
    # The helpers of Erlang's own applications are started from where they lie, so the script takes their place.
    for helper in sorted(tree.glob("usr/lib/erlang/lib/*/priv/bin/*")):
        if helper.is_file() and helper.read_bytes()[:4] == _ELF:
            wrapped.append((helper, helper.rename(helper.with_name(f"{helper.name}.elf"))))
    for script, program in wrapped:
        depth = len(script.parent.relative_to(tree).parts)
        text = _START.format(
            up="/".join([".."] * depth),
            loader=loader.relative_to(tree),
            libraries=libraries,
            program=program.relative_to(tree),
        )
        _write_script(script, text)
    _write_script(tree / "run" / "bin" / "erl", _ERL.format())


def _write_script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _one(tree: Path, shape: str) -> Path:
    found = sorted(tree.glob(shape))
    if not found:
        raise DebianError(f"the packages hold no {shape}")
    return found[-1]
