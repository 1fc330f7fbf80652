"""Judges rules over simulated incidents and healthy days, ours beside the published ones: `make bench-detection`.

Each incident breaks a healthy fleet; its row says which alert told of it, how loudly and how soon. promtool
evaluates the committed rules at production durations. Exit status 1 when an incident is missed, told too
softly or too late, or a healthy day pages; 2 for a setting that cannot be used.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.bench.detection.days import DAYS, Day
from tests.bench.detection.incidents import INCIDENTS, PAGE, Incident
from tests.bench.detection.run import HEALTHY_BEFORE, Outcome, day_series, incident_series, judged

RULES = sorted((Path(__file__).parents[3] / "prometheus" / "rules").glob("*.yml"))
MIXIN = [Path(__file__).with_name("mixin.yml")]
MEDIAN_GOAL = 180.0
WORST_GOAL = 600.0


@dataclass(frozen=True)
class Row:
    """One case under both sets of rules."""

    ours: Outcome
    theirs: Outcome


def main() -> int:
    """The command's exit status."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.detection", description=__doc__.splitlines()[0])
    options.add_argument("--only", default="", help="only the cases whose name holds this text")
    options.add_argument("--jobs", type=int, default=2, help="cases side by side")
    chosen = options.parse_args()
    incidents = [case for case in INCIDENTS if chosen.only in case.name]
    days = [case for case in DAYS if chosen.only in case.name]
    if not incidents and not days:
        print(f"--only {chosen.only!r}: no incident or day of that name")
        return 2
    bad = 0
    with ProcessPoolExecutor(chosen.jobs) as pool:
        waiting = [pool.submit(_judge, case.name) for case in [*incidents, *days]]
        print(f"{'incident':40} {'should':8} {'told by':58} {'after':>6}  pages, warnings | mixin")
        delays = []
        for case, future in zip(incidents, waiting, strict=False):
            bad += _tell_incident(case, future.result(), delays)
        print(f"\n{'healthy day':40} pages, warnings | mixin")
        for day, future in zip(days, waiting[len(incidents) :], strict=True):
            bad += _tell_day(day, future.result())
    if delays:
        median = statistics.median(delays)
        print(
            f"\n{len(delays)} of {len(incidents)} incidents told as loudly as they should be; median {_clock(median)}"
        )
        bad += median > MEDIAN_GOAL
    print("PASS" if not bad else f"FAIL: {bad} of the goals missed")
    return 1 if bad else 0


def _judge(name: str) -> Row:
    """The case of this name under both sets of rules (its name travels to another process, its faults cannot)."""
    case = next(case for case in [*INCIDENTS, *DAYS] if case.name == name)
    if isinstance(case, Incident):
        series, at = incident_series(case), HEALTHY_BEFORE
    else:
        series, at = day_series(case), 0.0
    return Row(judged(series, RULES, at), judged(series, MIXIN, at))


def _tell_incident(incident: Incident, row: Row, delays: list[float]) -> bool:
    loud = ("critical",) if incident.severity == PAGE else ("critical", "warning")
    first = row.ours.first(*loud)
    pages, warnings = row.ours.all("critical"), row.ours.all("warning")
    mixin = row.theirs.first("critical", "warning")
    theirs = f"{mixin[1].name} {_clock(mixin[0])}" if mixin else "-"
    told = f"{first[1].name} ({first[1].labels.get('queue', '')})" if first else "MISSED"
    after = _clock(first[0]) if first else ""
    late = first is not None and first[0] > WORST_GOAL and not incident.slow_because
    paged_for_nothing = bool(row.ours.early)
    words = "  LATE" if late else ""
    words += f"  EARLY: {', '.join(sorted({one.name for one in row.ours.early}))}" if paged_for_nothing else ""
    if first is not None and first[0] > WORST_GOAL and incident.slow_because:
        words += f"  late, because {incident.slow_because}"
    print(
        f"{incident.name:40} {incident.severity:8} {told:58} {after:>6}  {pages}, {warnings} | {theirs}{words}",
        flush=True,
    )
    if first is not None:
        delays.append(first[0])
    return first is None or late or paged_for_nothing


def _tell_day(day: Day, row: Row) -> bool:
    pages, warnings = row.ours.all("critical"), row.ours.all("warning")
    theirs = row.theirs.all("critical", "warning")
    print(f"{day.name:40} {pages or 'none'}, {warnings or 'none'} | {theirs or 'none'}", flush=True)
    return bool(pages)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


if __name__ == "__main__":
    sys.exit(main())
