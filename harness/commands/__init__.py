"""What the command line can do, one function for each word. A function returns the exit status."""

from __future__ import annotations

from collections.abc import Callable

from harness.commands import breaking, doctor, looking, running

COMMANDS: dict[str, Callable[[], int]] = {
    "up": running.up,
    "down": running.down,
    "clean": running.clean,
    "observe": running.observe,
    "secrets": running.secrets,
    "status": looking.status,
    "logs": looking.logs,
    "urls": looking.urls,
    "break": breaking.break_,
    "heal": breaking.heal,
    "load": breaking.load,
    "doctor": doctor.doctor,
}
