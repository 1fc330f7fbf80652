"""Runs one incident or one day of the simulated fleet under one set of rules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.detection.days import DAY, Day
from tests.bench.detection.exposition import scrape
from tests.bench.detection.fleet import STEP, Fleet, Task, Worker
from tests.bench.detection.incidents import Incident
from tests.bench.detection.promtool import Fired, alerts
from tests.bench.detection.series import Series

HEALTHY_BEFORE = 5400.0


def fleet() -> Fleet:
    """The fleet of the corpus: four main workers, one for mail, eight kinds of tasks, about half of it used."""
    main = [Worker(f"main{n}@{'ab'[n > 2]}", ("default", "payments", "reports"), 12) for n in (1, 2, 3, 4)]
    return Fleet(
        tasks=[
            Task("orders.place", "default", rate=8.0, seconds=0.08),
            Task("orders.fulfil", "default", rate=4.0, seconds=0.4),
            Task("orders.remind", "default", rate=0.5, seconds=0.05, priority="9"),
            Task("payments.charge", "payments", rate=6.0, seconds=0.6, failing=0.002, exception="CardDeclined"),
            Task("emails.send", "emails", rate=8.0, seconds=0.5),
            Task("reports.render", "reports", rate=0.8, seconds=4.0),
            Task("reports.export", "reports", rate=0.2, seconds=6.0),
        ],
        workers=[*main, Worker("emails@c", ("emails",), 12)],
    )


@dataclass(frozen=True)
class Outcome:
    """What a run fired: before its fault (`early`), and after it with delays in seconds."""

    early: list[Fired]
    after: list[tuple[float, Fired]]

    def first(self, *severities: str) -> tuple[float, Fired] | None:
        """The first alert of one of the severities after the fault, None when there was none."""
        return next((one for one in self.after if one[1].severity in severities), None)

    def all(self, *severities: str) -> list[str]:
        """The names of the alerts of these severities after the fault."""
        return sorted({alert.name for _delay, alert in self.after if alert.severity in severities})


def incident_series(incident: Incident) -> Series:
    """The series of an incident: healthy first, then the fault until the end."""
    ours, series = fleet(), Series()
    while ours.now < HEALTHY_BEFORE + incident.lasts:
        elapsed = ours.now - HEALTHY_BEFORE
        if elapsed >= 0:
            incident.fault(ours, elapsed)
        scrape(ours, series)
        ours.step()
    return series


def day_series(day: Day) -> Series:
    """The series of a healthy day."""
    ours, series = fleet(), Series()
    ours.arrivals = day.arrivals
    while ours.now < DAY:
        for at, lasts, fault in day.events:
            if at <= ours.now < at + lasts:
                fault(ours, ours.now - at)
        scrape(ours, series)
        ours.step()
    return series


def judged(series: Series, rules: list[Path], fault_at: float) -> Outcome:
    """What the rules make of the series."""
    fired = [one for one in alerts(series, rules) if one.name != "Watchdog"]
    # A fault that begins between two scrapes is first seen by the next one.
    return Outcome(
        early=[one for one in fired if one.at < fault_at],
        after=[(one.at - fault_at, one) for one in fired if one.at >= fault_at],
    )


__all__ = ["HEALTHY_BEFORE", "STEP", "Outcome", "day_series", "fleet", "incident_series", "judged"]
