"""Plain processes that outlive the program that started them, and that are never mistaken for somebody else's.

A process is known by its id and the moment it started, for ids are used again. It leads a session of its own,
and it and all it starts carry a token in their environment; only what has both is ever ended.
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
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_SLACK_SECONDS
            if same and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs, or where another program started it."""
        child = _own.get(self.pid)
        return child.poll() if child else None

    def members(self) -> list[psutil.Process]:
        """The process and everything that it started in its session, the process first."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if os.getsid(process.pid) == self.pid and self._is_mine(process):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid != self.pid)

    def _is_mine(self, process: psutil.Process) -> bool:
        if process.status() == psutil.STATUS_ZOMBIE or process.create_time() < self.started - _CLOCK_SLACK_SECONDS:
            return False
        return process.environ().get(MARK) == self.token

    def children(self) -> list[psutil.Process]:
        """The direct children, oldest first: of a prefork worker, its pool."""
        process = self.process()
        if process is None:
            return []
        with contextlib.suppress(psutil.Error):
            return sorted(process.children(), key=lambda child: (child.create_time(), child.pid))
        return []

    def signal(self, number: signals.Signals) -> None:
        """Send a signal to the process alone, if it is there."""
        if process := self.process():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def signal_all(self, number: signals.Signals) -> None:
        """Send a signal to the process and to everything that it started."""
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self, timeout: float = 20.0) -> None:
        """SIGKILL to the process and everything that it started, until nothing of it is left."""

        def gone() -> bool:
            self.signal_all(signals.SIGKILL)
            return self.process() is None and not self.members()

        until(gone, f"process {self.pid} to be gone after SIGKILL", timeout, 0.05)
        if child := _own.pop(self.pid, None):
            child.poll()

    def stop(self, grace: float) -> None:
        """SIGTERM to the process, `grace` seconds to end by itself, then SIGKILL to whatever is left."""
        self.signal(signals.SIGCONT)
        self.signal(signals.SIGTERM)
        with contextlib.suppress(DeadlineError):
            until(lambda: self.process() is None, "", grace, 0.05)
        self.kill()


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
