"""The folder through which the processes of one worker node share their metrics.

prometheus_client reads PROMETHEUS_MULTIPROC_DIR when it is first imported, so this module imports nothing of it and
runs first. One node owns one folder: process ids of two containers, or of two nodes that follow each other,
would get into each other's files.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.settings import SettingsError

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
OWNER = ".owner"
PREFIX = "celery-metrics-"
#: Programs of Celery that serve metrics; every other process that imports the instrumentation only publishes.
COMMANDS = ("worker", "beat")


@dataclass
class Folder:
    """A claimed folder: the process that claimed it serves it, and its forked children write to it."""

    path: Path
    #: The process that claimed it.
    owner: int
    #: True where this very process served it before it replaced its program: a warm restart, so counters go on.
    resumed: bool
    _lock: int

    def close_in_child(self) -> None:
        """Let go of the claim in a forked child, so that it ends with its owner."""
        with contextlib.suppress(OSError):
            os.close(self._lock)


_claimed: Folder | None = None


def is_celery_program(argv: list[str]) -> bool:
    """Whether ``argv`` starts a worker or beat: the two programs that serve metrics."""
    program = Path(argv[0]) if argv else Path()
    names = {program.name, program.parent.name}
    return bool(names & {"celery", "celery.exe"}) and any(word in COMMANDS for word in argv[1:])


def claimed() -> Folder | None:
    """The folder that this process, or the parent that it was forked from, has claimed."""
    return _claimed


def claim() -> Folder:
    """Claim a folder for this process, empty it, and point PROMETHEUS_MULTIPROC_DIR at it.

    The folder is the variable's where it is set and free, a subfolder of it where another node holds it already,
    and a private temporary one where the variable is not set. Raises SettingsError where it cannot be written.
    """
    global _claimed  # noqa: PLW0603 - one folder for one process, as prometheus_client has it
    if _claimed is not None and _claimed.owner == os.getpid():
        return _claimed
    named = os.environ.get(VARIABLE, "").strip()
    try:
        if named:
            folder = _take(Path(named)) or _take(Path(named) / f"node-{os.getpid()}")
            _sweep(Path(named), "node-*")
        else:
            _sweep(Path(tempfile.gettempdir()), f"{PREFIX}*")
            folder = _take(Path(tempfile.mkdtemp(prefix=PREFIX)))
            if folder is not None:
                atexit.register(_remove, folder)
    except OSError as error:
        fix = f"{error.strerror}; name a folder that this process can write to"
        raise SettingsError(VARIABLE, named or tempfile.gettempdir(), fix) from None
    if folder is None:
        raise SettingsError(VARIABLE, named, "held by another process; give each worker node a folder of its own")
    os.environ[VARIABLE] = str(folder.path)
    _share_values()
    _claimed = folder
    return folder


def _share_values() -> None:
    """Have prometheus_client share values between processes although it has been imported already.

    It decides on its first import, and Celery's command line imports the plugins that are installed, Flower's and
    with it prometheus_client, before it imports the application. Metrics look their value's class up when they are
    made, so those made from now on are shared.
    """
    values: Any = sys.modules.get("prometheus_client.values")
    if values is not None and not values.ValueClass._multiprocess:
        values.ValueClass = values.MultiProcessValue()


def _take(path: Path) -> Folder | None:
    """Lock ``path`` for this process and empty it, or None where another living process holds it."""
    path.mkdir(parents=True, exist_ok=True)
    lock = os.open(path / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    me = json.dumps({"pid": os.getpid(), "started": _start_ticks()})
    resumed = os.read(lock, 200).decode(errors="replace") == me
    os.ftruncate(lock, 0)
    os.pwrite(lock, me.encode(), 0)
    if not resumed:
        for file in path.glob("*.db"):
            file.unlink(missing_ok=True)
    return Folder(path, os.getpid(), resumed, lock)


def _start_ticks() -> str:
    """When this process started, in the kernel's ticks; it stays the same when the process replaces its program."""
    try:
        return Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        # No /proc: the id of a process alone is no proof, so nothing is ever taken for a warm restart.
        return str(id(sys.modules))


def _sweep(parent: Path, pattern: str) -> None:
    """Remove the folders that killed nodes left behind."""
    for path in parent.glob(pattern):
        with contextlib.suppress(OSError):
            lock = os.open(path / OWNER, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _remove(folder: Folder) -> None:
    if os.getpid() == folder.owner:
        shutil.rmtree(folder.path, ignore_errors=True)
