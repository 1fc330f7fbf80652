"""Finds the server programs that the stack and its tests run: on PATH, or unpacked into the checkout.

``find("redis-server")`` returns a `Tool`. A program on PATH is used where it is recent enough. Else it
is taken once from Debian's packages into ``.state/bin``, with no root and nothing installed.

``python -m harness.binaries redis-server prometheus`` fetches ahead and prints the paths.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import mmap
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import debian
from harness.binary_table import ALERTMANAGER, PROGRAMS, Program, Tree
from harness.debian import DebianError, Depends, Progress
from harness.errors import HarnessError
from harness.paths import STATE

__all__ = ["BIN", "PROGRAMS", "BinaryMissingError", "Tool", "find"]

BIN = STATE / "bin"
VERSION_TIMEOUT_SECONDS = 60
_LAYOUT = 1  # of the unpacked folders; raised where the code below changes what is in them


class BinaryMissingError(HarnessError):
    """A program can be had neither from PATH nor from Debian's packages; the message is one line."""


@dataclass(frozen=True)
class Tool:
    """A program that can be run: `command` gives its argument list, `env` what its environment needs besides.

    `arguments` are those that it always gets; they are part of `command` and not of `path`.
    """

    name: str
    path: Path
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def command(self, *args: str | os.PathLike[str]) -> list[str]:
        """The argument list to run the program with `args`."""
        return [str(self.path), *self.arguments, *(os.fspath(arg) for arg in args)]

    def version(self) -> str:
        """The version that the program tells of itself (``3.5.3``). Raises `BinaryMissingError`."""
        return _version(self.path)


def find(name: str, *, folder: Path | None = None, progress: Progress | None = None) -> Tool:
    """The program `name`: from PATH, from `folder` (``.state/bin``), or fetched into it now.

    Safe to call from several processes at once. Raises `BinaryMissingError` where it cannot be had,
    and `KeyError` for a name that is not in `PROGRAMS`.
    """
    program = PROGRAMS[name]
    return _find(name, program, os.environ.get("PATH", ""), folder or BIN, progress or _say)


@functools.cache
def _find(name: str, program: Program, path: str, folder: Path, progress: Progress) -> Tool:
    for candidate in program.names:
        found = shutil.which(candidate, path=path)
        if found and Path(found).parent.resolve() != folder.resolve() and _usable(Path(found), program.tree.minimum):
            return Tool(name, Path(found), program.arguments)
    try:
        return Tool(name, _unpacked(name, program, folder, progress), program.arguments)
    except (DebianError, BinaryMissingError, OSError) as error:
        wanted = ".".join(map(str, program.tree.minimum))
        raise BinaryMissingError(
            f"{name} is not on PATH{f' in version {wanted} or later' if wanted else ''} and cannot be fetched "
            f"({error}): install {' '.join(program.tree.packages)} and put {name} on PATH"
        ) from None


def _unpacked(name: str, program: Program, folder: Path, progress: Progress) -> Path:
    start = folder / name
    tree = folder / "trees" / _folder_name(program.tree)
    if _starts_from(start, tree):
        return start
    folder.mkdir(parents=True, exist_ok=True)
    with debian.locked(folder / f".{program.tree.name}.lock"):
        if _starts_from(start, tree):
            return start
        if not tree.exists():
            with _staging(tree) as staging:
                _fill(program.tree, staging, folder.parent / "apt", progress)
                _adapt(program.tree, staging)
        for other, its in PROGRAMS.items():
            if its.tree == program.tree:
                _write_start(folder / other, program.tree, its.inside, tree)
        for old in tree.parent.glob(f"{program.tree.name}-*"):
            if old != tree:
                shutil.rmtree(old, ignore_errors=True)
    _version(start)
    return start


def _folder_name(tree: Tree) -> str:
    """Another description, or another release of the machine, gives another name: then all is fetched anew."""
    described = repr((tree, debian.release(), _LAYOUT))
    return f"{tree.name}-{hashlib.sha256(described.encode()).hexdigest()[:8]}"


def _starts_from(start: Path, tree: Path) -> bool:
    with contextlib.suppress(OSError):
        return tree.is_dir() and f"/trees/{tree.name}\n" in start.read_text(encoding="utf-8")
    return False


@contextlib.contextmanager
def _staging(tree: Path) -> Iterator[Path]:
    """A folder beside `tree` that takes its place once it is complete, and goes where the block fails."""
    tree.parent.mkdir(parents=True, exist_ok=True)
    for left in tree.parent.glob(f".{tree.name}-*"):  # of a process that was killed; the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{tree.name}-", dir=tree.parent))
    try:
        yield staging
        staging.chmod(0o755)
        staging.rename(tree)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _fill(tree: Tree, into: Path, cache: Path, progress: Progress) -> None:
    if tree.suite is None or tree.suite == debian.release()[1]:
        debian.unpack(tree.packages, into, depends=Depends.MISSING, cache=cache, progress=progress)
        return
    offered = None
    with contextlib.suppress(DebianError):
        offered = debian.candidate(tree.packages[0], cache=cache)
    if offered is not None and _numbers(offered.partition(":")[2] or offered) >= tree.minimum:
        debian.unpack(tree.packages, into, depends=Depends.MISSING, cache=cache, progress=progress)
    else:
        debian.unpack(tree.packages, into, suite=tree.suite, depends=Depends.NONE, cache=cache, progress=progress)


# Debian's Alertmanager reads its templates from this folder, and no option names another.
_TEMPLATES = b"/usr/share/prometheus/alertmanager"
# A path of the same length that leads to whatever folder the starting script opened as file 9.
_TEMPLATES_OPENED = b"/proc/self/fd".ljust(len(_TEMPLATES) - 1, b"/") + b"9"


def _adapt(tree: Tree, root: Path) -> None:
    """Makes the unpacked programs independent of where they lie."""
    if tree is ALERTMANAGER:
        binary = root / "usr/bin/prometheus-alertmanager"
        content = binary.read_bytes()
        if _TEMPLATES in content:
            binary.write_bytes(content.replace(_TEMPLATES, _TEMPLATES_OPENED))


def _write_start(start: Path, tree: Tree, inside: str, root: Path) -> None:
    """Writes the script that runs a program of the tree; it finds the tree by its own place."""
    # Most libraries lie in the folder of the architecture; a few, such as PulseAudio's, in one of their own below it.
    shapes = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*/*")
    folders = [folder for shape in shapes for folder in sorted(root.glob(shape)) if any(folder.glob("lib*.so*"))]
    libraries = [f"$tree/{folder.relative_to(root)}" for folder in folders]
    lines = ["#!/bin/sh", "self=$0", '[ ! -L "$self" ] || self=$(readlink -f "$self")']
    lines.append(f"tree=${{self%/*}}/trees/{root.name}")
    if libraries:
        lines.append(f'export LD_LIBRARY_PATH="{":".join(libraries)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"')
    if (root / "usr/share/fonts").is_dir():
        (root / "fonts.conf").write_text(_FONTS)
        lines.append('[ -e /etc/fonts/fonts.conf ] || export FONTCONFIG_FILE="$tree/fonts.conf"')
    opened = ""
    if tree is ALERTMANAGER:
        opened = ' 9<"$tree/usr/share/prometheus/alertmanager"'
    lines.append(f'exec "$tree/{inside}" "$@"{opened}')
    temporary = start.with_name(f".{start.name}-{os.getpid()}")
    temporary.write_text("\n".join(lines) + "\n")
    temporary.chmod(0o755)
    temporary.replace(start)


_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


def _usable(path: Path, minimum: tuple[int, ...]) -> bool:
    """Whether the program found on PATH runs, is recent enough, and finds the files that it needs."""
    try:
        recent = _numbers(_version(path)) >= minimum
    except BinaryMissingError:
        return False
    return recent and not _lacks_templates(path)


def _lacks_templates(path: Path) -> bool:
    """Whether this is Debian's Alertmanager without Debian's templates: it would not start."""
    if "alertmanager" not in path.name or Path(os.fsdecode(_TEMPLATES)).is_dir():
        return False
    with path.resolve().open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_TEMPLATES) >= 0


def _version(path: Path) -> str:
    try:
        done = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=VERSION_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BinaryMissingError(f"{path} does not run: {error}") from None
    found = re.search(r"\d+\.\d+[.\d]*", done.stdout + done.stderr)
    if done.returncode != 0 or found is None:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BinaryMissingError(f"{path} does not run: {said[-1] if said else f'exit status {done.returncode}'}")
    return found.group()


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else ()


def _say(message: str) -> None:
    print(f"binaries: {message}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetches the programs named and prints where each is. Exit status 1 where one cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m harness.binaries", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {' '.join(PROGRAMS)}; none: all of them")
    names = parser.parse_args(arguments).names or list(PROGRAMS)
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        parser.error(f"unknown program {' '.join(unknown)}: choose from {' '.join(PROGRAMS)}")
    failed = 0
    for name in names:
        try:
            tool = find(name)
            print(f"{name} {tool.version()} {tool.path}", flush=True)
        except BinaryMissingError as error:
            print(error, file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
