"""Takes programs out of Debian packages without installing anything and without root.

apt-get runs with a configuration of its own: it keeps its lists in a folder of ours, and the
packages are unpacked into a folder with ``dpkg-deb -x``. No maintainer script runs, no service
starts, and nothing outside the given folders is written. The addresses of the archive are those
of the machine's own apt sources; its proxy, certificate and credential settings apply as well.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import apt
from harness.apt import DebianError, Depends, Progress, locked, quiet, release, sources_for

__all__ = ["DebianError", "Depends", "Progress", "candidate", "locked", "quiet", "release", "sources_for", "unpack"]


def unpack(
    packages: Sequence[str],
    into: Path,
    *,
    suite: str | None = None,
    depends: Depends = Depends.MISSING,
    cache: Path | None = None,
    progress: Progress = quiet,
) -> None:
    """Unpacks `packages` into the folder `into`, which is made where it is missing.

    `suite` is a Debian suite such as ``forky``; without it, the machine's own release is used.
    `cache` is a folder in which apt's lists stay between calls; without it they are fetched anew.
    Safe to call from several processes with one `cache`. Raises `DebianError`.
    """
    if depends is Depends.MISSING and suite not in (None, release()[1]):
        raise ValueError("dependencies that the machine lacks are only known for its own release")
    with apt.opened(suite, depends, cache, progress) as archive:
        progress(f"fetching {' '.join(packages)} from {archive.label}")
        files = archive.download(packages, depends)
        progress(f"unpacking {len(files)} package{'s' if len(files) != 1 else ''}")
        into.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(lambda file: _extract(file, into), files))
        if depends is Depends.ALL:
            _merge_usr(into)


def candidate(package: str, *, suite: str | None = None, cache: Path | None = None) -> str | None:
    """The version of `package` that the suite offers (``2:7.0.15-1``), or None. Raises `DebianError`."""
    with apt.opened(suite, Depends.ALL, cache, quiet) as archive:
        listing = archive.run("apt-cache", "policy", package)
    found = re.search(r"Candidate: (\S+)", listing)
    return found.group(1) if found and found.group(1) != "(none)" else None


def _merge_usr(into: Path) -> None:
    """Makes /bin, /lib and their kin links into /usr, as they are on every installed system."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (into / "usr" / name).mkdir(parents=True, exist_ok=True)
        if (into / name).is_symlink():
            continue
        if (into / name).is_dir():
            _move(into / name, into / "usr" / name)
            (into / name).rmdir()
        (into / name).symlink_to(f"usr/{name}")


def _move(source: Path, target: Path) -> None:
    """Moves what is in the folder `source` into `target`; what both have stays as `target` has it."""
    for path in source.iterdir():
        there = target / path.name
        if path.is_dir() and not path.is_symlink():
            there.mkdir(exist_ok=True)
            _move(path, there)
            path.rmdir()
        elif os.path.lexists(there):
            path.unlink()
        else:
            path.rename(there)


def _extract(archive: Path, into: Path) -> None:
    apt.run(("dpkg-deb", "--extract", str(archive), str(into)), f"unpacking {archive.name}")
