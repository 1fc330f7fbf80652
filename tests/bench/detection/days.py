"""The corpus of healthy days: each looks like trouble in one way, and nobody is to be woken by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.bench.detection import faults as f
from tests.bench.detection.faults import Fault
from tests.bench.detection.fleet import STEP, Fleet

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True)
class Day:
    """`events` are (when, how long, what) during a day of the fleet; `arrivals` is the shape of its load."""

    name: str
    says: str
    events: tuple[tuple[float, float, Fault], ...] = ()
    arrivals: Callable[[float], float] = field(default=lambda _now: 1.0)


def office_hours(now: float) -> float:
    """Load by the hour: a tenth at night, its most at two in the afternoon."""
    return 0.55 - 0.45 * math.cos(2 * math.pi * (now - 2 * HOUR) / DAY)


def quiet_night(now: float) -> float:
    """Nothing at all from the first hour to the fifth."""
    return 0.0 if HOUR < now < 5 * HOUR else 1.0


def every(period: float, fault: Fault, lasts: float = STEP) -> tuple[tuple[float, float, Fault], ...]:
    """The event each `period` seconds of the day."""
    return tuple((at, lasts, fault) for at in _times(period))


def _times(period: float) -> list[float]:
    return [period * number for number in range(1, int(DAY / period))]


def rolling_deploy() -> tuple[tuple[float, float, Fault], ...]:
    """Every 20 minutes of two hours one worker is stopped cleanly and comes back a minute later."""
    prefixes = ("main1", "main2", "main3", "main4", "emails")
    return tuple((3 * HOUR + 1200.0 * number, 60.0, _restart(prefix)) for number, prefix in enumerate(prefixes))


def _restart(prefix: str) -> Fault:
    def fault(fleet: Fleet, elapsed: float) -> None:
        for worker in fleet.workers:
            if worker.name.startswith(prefix):
                if elapsed == 0:
                    worker.state, worker.since = "stopped", fleet.now
                elif elapsed + STEP >= 60.0:
                    worker.state, worker.processed = "up", 0.0

    return fault


def _scale(number: int) -> Fault:
    """The second pair of main workers is stopped cleanly, or started."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed > 0:
            return
        for index, worker in enumerate(w for w in fleet.workers if w.name.startswith("main")):
            worker.state = "up" if index < number else "stopped"
            worker.since = fleet.now

    return fault


def _one_failure(fleet: Fleet, elapsed: float) -> None:
    task = next(task for task in fleet.tasks if task.name == "reports.render")
    if elapsed == 0:
        fleet.count("started", task, 1.0)
        fleet.count("failed", task, 1.0, "ValueError")


def _no_scrape(fleet: Fleet, elapsed: float) -> None:
    """The exporter misses a scrape."""
    if elapsed == 0:
        fleet.down.add("celery")
    if elapsed + STEP >= 30.0:
        fleet.down.discard("celery")


DAYS = [
    Day("an ordinary day", "the same load from morning to night"),
    Day("office hours", "a tenth of the load at night, ten times that in the afternoon", arrivals=office_hours),
    Day("an hourly batch", "3,000 mails each hour, drained in four minutes", every(HOUR, f.burst("emails.send", 3000))),
    Day("a rolling deploy", "each worker in turn stops and comes back, its counts begin again", rolling_deploy()),
    Day("a quiet night", "no task at all for four hours", arrivals=quiet_night),
    Day(
        "scaling in and out",
        "two of four workers go in the evening and come back",
        ((6 * HOUR, STEP, _scale(2)), (12 * HOUR, STEP, _scale(4))),
        lambda now: 0.4 if 6 * HOUR < now < 12 * HOUR else 1.0,
    ),
    Day(
        "one failure of three",
        "a rare task fails once",
        ((4 * HOUR, STEP, _one_failure), (15 * HOUR, STEP, _one_failure)),
        lambda _now: 0.02,
    ),
    Day("scrape gaps", "the exporter misses two scrapes now and then", every(2 * HOUR, _no_scrape, 30.0)),
    Day("an exporter restart", "its counts begin again three times", every(6 * HOUR, f.restarts_exporter())),
    Day(
        "some failures",
        "one order in two hundred fails, as ever",
        every(DAY / 2, f.task_becomes("orders.place", failing=0.005), DAY / 2),
    ),
    Day(
        "some retries",
        "one mail in twenty needs a second try",
        ((0.0, STEP, f.task_becomes("emails.send", retrying=0.05, exception="SMTPServerDisconnected")),),
    ),
    Day(
        "a busy hour",
        "half as much again for an hour, and the fleet copes",
        arrivals=lambda now: 1.5 if 9 * HOUR < now < 10 * HOUR else 1.0,
    ),
]
