"""400,000 events as fast as they can be published, at a Redis with its default limits: what is lost, what is said."""

from __future__ import annotations

from collections.abc import Iterator

from harness.private_exporter import Series, total
from tests.bench.exporter.bench import Bench, Row
from tests.bench.exporter.throughput import TASK_EVENTS

NAME = "burst"
HOW = (
    "400,000 task events published without a pause at a Redis with its default output limit for subscribers (32 MB, "
    "or 8 MB for a minute); heartbeats with the true number of accepted tasks go on for 20 s. Lost: published less "
    "counted. Said: started events that the exporter itself reports as missing, and events that it says it dropped."
)
LINGER_SECONDS = 20


def run(bench: Bench) -> Iterator[Row]:
    """Yields what each exporter counted, lost and said."""
    for name in bench.exporters():
        events = bench.some(400_000, 20_000)
        with bench.redis() as broker, bench.start(name, broker) as exporter:
            linger = bench.some(LINGER_SECONDS, 4)
            published = bench.publish(broker, events, 600, f"--linger={linger}")
            exporter.until_quiet(300)
            exporter.until_counted(sum(published[kind] for kind in TASK_EVENTS), 300)
            series = exporter.series()
            counted = exporter.counted()
        lost = {kind: published[kind] - counted[kind] for kind in TASK_EVENTS}
        everything = sum(published[kind] for kind in TASK_EVENTS)
        yield Row(NAME, name, f"events counted of {everything:,}", f"{sum(counted.values()):,.0f}")
        missing, dropped = _said(series)
        said = f"{missing:,.0f} started events missing, {dropped:,.0f} events dropped"
        complete = not any(lost.values())
        honest = missing + dropped >= lost["task-started"] > 0 or (complete and not missing)
        yield Row(
            NAME,
            name,
            f"lost {sum(lost.values()):,.0f}, of them {lost['task-started']:,.0f} started; said by itself",
            said if name == "ours" else "nothing (it has no such series)",
            "none lost, or every loss said" if name == "ours" else "",
            (complete or honest) if name == "ours" else None,
        )


def _said(series: Series) -> tuple[float, float]:
    return total(series, "celery_worker_events_lost_total"), total(series, "celery_exporter_events_dropped_total")
