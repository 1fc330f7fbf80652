"""Makes a root folder from Debian packages into what a container image holds, and writes it as an archive.

No maintainer script has run in such a folder, so what those would have made is made here: users, links,
the bundle of certificates, Python's compiled modules.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from harness.debian import DebianError

Owner = tuple[int, int]

_USERS: Mapping[str, Owner] = {"root": (0, 0), "nobody": (65534, 65534)}
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "usr/share/bug")
_AUTHORITIES = "usr/share/ca-certificates"
COMPILE_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Finish:
    """What is added to the packages' files. Paths are relative to the root; owners are (user id, group id)."""

    users: Mapping[str, Owner] = field(default_factory=dict)
    folders: Mapping[str, Owner] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    remove: Sequence[str] = ()
    #: The interpreter (``python3.13``) whose standard library is compiled.
    compile: str | None = None


def finish(root: Path, parts: Finish) -> None:
    """Completes the folder `root` in place. Raises `DebianError` where Python's modules cannot be compiled."""
    for name in (*_UNUSED, *parts.remove):
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for name in ("dev", "proc", "sys", "tmp", "run", "root", "usr/bin", "etc", *parts.folders):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    _accounts(root, {**_USERS, **parts.users})
    _busybox(root)
    _certificates(root)
    for name, target in parts.links.items():
        _link(root / name, target)
    for name, content in parts.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.lstrip("\n"))
        path.chmod(0o755 if content.lstrip().startswith("#!") else 0o644)
    if parts.compile:
        _compile(root, parts.compile)


def archive(root: Path, parts: Finish, out: IO[bytes]) -> None:
    """Writes `root` to `out` as a tar stream in which all is owned by root but the folders of `parts`."""

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid, member.gid = parts.folders.get(member.name.removeprefix("./"), (0, 0))
        member.uname = member.gname = ""
        member.mode &= 0o1777  # no program in an image gains rights when it is run
        return member

    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as stream:
        stream.add(root, arcname=".", filter=owned)


def _accounts(root: Path, users: Mapping[str, Owner]) -> None:
    accounts = root / "etc" / "passwd"
    groups = root / "etc" / "group"
    master = root / "usr/share/base-passwd"
    lines = (master / "passwd.master").read_text().splitlines() if master.is_dir() else []
    group_lines = (master / "group.master").read_text().splitlines() if master.is_dir() else []
    known = {line.partition(":")[0] for line in lines}
    known_groups = {line.partition(":")[0] for line in group_lines}
    for name, (uid, gid) in users.items():
        if name not in known:
            lines.append(f"{name}:x:{uid}:{gid}::{'/root' if uid == 0 else '/nonexistent'}:/bin/sh")
        if name not in known_groups:
            group_lines.append(f"{name}:x:{gid}:")
    accounts.write_text("\n".join(lines) + "\n")
    groups.write_text("\n".join(group_lines) + "\n")


def _busybox(root: Path) -> None:
    """Gives the names of busybox's commands to it, where the packages brought no program of that name."""
    busybox = root / "usr/bin/busybox"
    if not busybox.is_file():
        return
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=False, timeout=60)
    for name in listed.stdout.split():
        if not any(os.path.lexists(root / folder / name) for folder in ("usr/bin", "usr/sbin")):
            _link(root / "usr/bin" / name, "busybox")


def _certificates(root: Path) -> None:
    folder = root / _AUTHORITIES
    if not folder.is_dir():
        return
    certificates = sorted(folder.rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in certificates))
    names = "".join(f"{path.relative_to(folder)}\n" for path in certificates)
    (root / "etc/ca-certificates.conf").write_text(names)  # what update-ca-certificates starts from


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _compile(root: Path, interpreter: str) -> None:
    """Compiles the standard library with the folder's own interpreter, run through the folder's own loader."""
    loader = next(iter(sorted(root.glob("usr/lib64/ld-*.so*")) or sorted(root.glob("usr/lib/*/ld-linux-*.so*"))), None)
    if loader is None:
        raise DebianError(f"the packages of {interpreter} brought no dynamic loader")
    libraries = ":".join(str(path) for path in sorted(root.glob("usr/lib/*-linux-gnu*")) if path.is_dir())
    library = root / "usr/lib" / interpreter
    command = [
        str(loader), "--library-path", libraries, str(root / "usr/bin" / interpreter), "-S", "-m", "compileall", "-q",
        "-s", str(root), "-p", "/", "-x", r"/(test|idlelib|lib2to3)/", str(library), str(root / "usr/lib/python3"),
    ]  # fmt: skip
    environment = {"PYTHONHOME": str(root / "usr"), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False,
                              timeout=COMPILE_TIMEOUT_SECONDS, stdin=subprocess.DEVNULL)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DebianError(f"compiling the modules of {interpreter}: {error}") from None
    if not (library / "__pycache__").is_dir():
        said = (done.stderr or done.stdout).strip().splitlines()
        raise DebianError(f"compiling the modules of {interpreter} failed: {said[-1] if said else done.returncode}")
