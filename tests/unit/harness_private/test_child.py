"""Programs that a test starts are gone when it ends, with all that they started."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.child import Child, running, start
from harness.wait import until

DEADLINE = 60
DEAF = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('started', flush=True); signal.pause()"
# Both the shell and what it starts hold the pipe open for as long as they live.
SHELL_WITH_CHILD = 'exec 3>"$0"; sleep 600 & echo started; wait'


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A named pipe with its reading end."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield path, reading
    os.close(reading)


def nobody_holds(reading: int) -> bool:
    """Whether every process that had the pipe open for writing is dead, reaped or not."""
    try:
        return os.read(reading, 1) == b""
    except BlockingIOError:
        return False


def until_started(child: Child) -> None:
    until(lambda: "started" in child.said(), "the program to start", DEADLINE)


def test_kill_takes_what_the_program_started(tmp_path: Path, pipe: tuple[Path, int]) -> None:
    path, reading = pipe
    child = start(["sh", "-c", SHELL_WITH_CHILD, path], log=tmp_path / "log")
    until_started(child)
    assert not nobody_holds(reading)
    child.kill()
    assert not child.running
    until(lambda: nobody_holds(reading), "all of it to be gone", DEADLINE)


def test_a_block_ends_the_program_whatever_happens_in_it(tmp_path: Path, pipe: tuple[Path, int]) -> None:
    path, reading = pipe

    def fail() -> None:
        with running(["sh", "-c", SHELL_WITH_CHILD, path], log=tmp_path / "log") as child:
            until_started(child)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    until(lambda: nobody_holds(reading), "all of it to be gone", DEADLINE)


def test_stop_asks_first_and_then_insists(tmp_path: Path) -> None:
    polite = start(["sleep", "600"], log=tmp_path / "polite")
    assert polite.stop() == -signal.SIGTERM
    deaf = start([sys.executable, "-c", DEAF], log=tmp_path / "deaf")
    until_started(deaf)
    assert deaf.stop(timeout=0.2) == -signal.SIGKILL


def test_it_has_no_input_and_the_environment_it_is_given(tmp_path: Path) -> None:
    program = "import os, sys; print(repr(sys.stdin.read()), os.environ.get('GIVEN'), os.environ.get('PATH'))"
    child = start([sys.executable, "-c", program], log=tmp_path / "log", env={"GIVEN": "yes"})
    assert child.process.wait(DEADLINE) == 0
    assert child.said() == "'' yes None"
