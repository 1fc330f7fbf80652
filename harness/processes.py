"""Plain processes that outlive the program that started them, and that are never mistaken for somebody else's.

A process is known by its id and the moment it started, for ids are used again. It leads a session of its own:
while it is there, all of that session is of its making. Once it has gone, what is left of the session is told by
a token in its environment; only such processes are ever ended.
"""

from __future__ import annotations

import contextlib
import os
import signal as signals
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.wait import DeadlineError, until

MARK = "STACK_PROCESS"
#: The start of a process is computed from the clock of the machine, which may be set meanwhile.
_CLOCK_SLACK_SECONDS = 2.0

# Children of this very program are reaped here; those of an earlier one by whoever inherited them.
_own: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Identity:
    """One process that was started here: its id, its start (epoch seconds), and its token."""

    pid: int
    started: float
    token: str

    def process(self) -> psutil.Process | None:
        """The process while it runs; None once it has ended, even where nobody has collected it yet."""
        if child := _own.get(self.pid):
            child.poll()
        entry = self._entry()
        with contextlib.suppress(psutil.Error):
            if entry and entry.status() != psutil.STATUS_ZOMBIE:
                return entry
        return None

    def _entry(self) -> psutil.Process | None:
        """The process in the system's table, also as one that has ended and was not collected."""
        with contextlib.suppress(psutil.Error):
            entry = psutil.Process(self.pid)
            if abs(entry.create_time() - self.started) < _CLOCK_SLACK_SECONDS:
                return entry
        return None

    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs, or where another program started it."""
        child = _own.get(self.pid)
        return child.poll() if child else None

    def members(self) -> list[psutil.Process]:
        """The process and everything that it started in its session, the process first."""
        leads = self._entry() is not None
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getsid(process.pid) == self.pid and (leads or self._has_token(process)):
                    found.append(process)
        running = [process for process in found if _runs(process)]
        return sorted(running, key=lambda process: process.pid != self.pid)

    def _has_token(self, process: psutil.Process) -> bool:
        # Some programs overwrite their environment with their title; they are found while their leader is there.
        return process.environ().get(MARK) == self.token

    def signal(self, number: signals.Signals) -> None:
        """Send a signal to the process alone, if it is there."""
        if process := self.process():
            _send(process, number)

    def signal_all(self, number: signals.Signals) -> None:
        """Send a signal to the process and to everything that it started."""
        for process in self.members():
            _send(process, number)

    def kill(self, timeout: float = 20.0) -> None:
        """SIGKILL to the process and everything that it started, until nothing of it is left."""
        known: dict[int, psutil.Process] = {}

        def gone() -> bool:
            known.update({process.pid: process for process in self.members()})
            for process in known.values():
                _send(process, signals.SIGKILL)
            return self.process() is None and not any(_runs(process) for process in known.values())

        until(gone, f"process {self.pid} to be gone after SIGKILL", timeout, 0.05)
        if child := _own.pop(self.pid, None):
            child.poll()

    def stop(self, grace: float) -> None:
        """SIGTERM to the process, `grace` seconds to end by itself, then SIGKILL to whatever is left."""
        self.signal(signals.SIGTERM)
        with contextlib.suppress(DeadlineError):
            until(lambda: self.process() is None, "", grace, 0.05)
        self.kill()


def children(process: psutil.Process) -> list[psutil.Process]:
    """The direct children that run, the oldest first: of a prefork worker, its pool."""
    with contextlib.suppress(psutil.Error):
        running = [child for child in process.children() if _runs(child)]
        return sorted(running, key=lambda child: (child.create_time(), child.pid))
    return []


def _send(process: psutil.Process, number: signals.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)  # psutil looks first whether the id is still the same process's


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def spawn(command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, token: str) -> Identity:
    """Start a process in a session of its own, its output appended to `log`, nothing to read on its input.

    Raises OSError where it cannot be started.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(command),
            env={**env, MARK: token},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _own[child.pid] = child
    return Identity(child.pid, psutil.Process(child.pid).create_time(), token)
