"""How long each scenario took from the fault to firing, to delivery, to resolution: tests write, a table reads."""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.paths import EVIDENCE

FILE = EVIDENCE / "timings.jsonl"


@dataclass(frozen=True)
class Timing:
    """Seconds since the fault (resolution: since it was healed); None for what did not happen.

    `way` is how the stack ran, `scenario` the name of the fault or test, `factor` the test clock.
    """

    way: str
    scenario: str
    alert: str
    firing: float | None = None
    delivered: float | None = None
    resolved: float | None = None
    factor: int = 1


def record(timing: Timing, file: Path = FILE) -> None:
    """Add one line; safe to call from several processes at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write(json.dumps(asdict(timing)) + "\n")


def read(file: Path = FILE) -> list[Timing]:
    """What was recorded, oldest first."""
    if not file.exists():
        return []
    return [Timing(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines() if line]


def forget(file: Path = FILE) -> None:
    """Begin a new table."""
    file.unlink(missing_ok=True)


def table(timings: list[Timing]) -> str:
    """The timings as a table of text, one line each."""
    rows: list[tuple[str, ...]] = [("way", "scenario", "alert", "firing", "delivered", "resolved")]
    rows += [(t.way, t.scenario, t.alert, *map(_seconds, (t.firing, t.delivered, t.resolved))) for t in timings]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
