"""A program that a test or a benchmark starts for itself and never leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Child:
    """A running program, the leader of a process group of its own, writing to ``log``."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the program is still there."""
        return self.process.poll() is None

    def said(self, lines: int = 20) -> str:
        """The last lines that the program wrote."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone, if it is still there."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the program and all that it started in its process group, and wait for it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout: float = 20) -> int:
        """SIGTERM, then after ``timeout`` seconds SIGKILL; what is left of its group goes too. Returns the status."""
        if self.running:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        self.kill()
        return self.process.returncode


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | None = None,
) -> Child:
    """Start a program in a process group of its own; its output is appended to ``log``.

    The caller ends it with ``Child.stop`` or ``Child.kill``. ``env`` replaces the environment. Raises OSError when
    the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    return Child(process, log)


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Child]:
    """``start`` for the time of a block, ended whatever happens in it."""
    child = start(command, log=log, env=env, cwd=cwd)
    try:
        yield child
    finally:
        child.stop()
