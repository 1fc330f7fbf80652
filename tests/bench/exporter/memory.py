"""Memory of the exporter after one million and two million distinct tasks."""

from __future__ import annotations

from collections.abc import Iterator

from harness.private_redis import PrivateRedis
from harness.wait import until
from tests.bench.exporter.bench import UNLIMITED, Bench, Row
from tests.bench.exporter.subjects import Subject

NAME = "memory"
HOW = (
    "Resident memory (RSS) of this exporter and its children after a million tasks with ids of their own, each sent, "
    "received, started and succeeded (80,000 events a second), and after a second million; the highest of a look "
    "every half second in between."
)
RATE = 80_000
EVENTS_OF_TASK = 4
WANTED_MEGABYTES = 80


def run(bench: Bench) -> Iterator[Row]:
    """Yields the memory before, after each million, and at its highest."""
    if "ours" not in bench.exporters():
        return
    tasks = bench.some(1_000_000, 20_000)
    with bench.redis(**UNLIMITED) as broker, bench.start("ours", broker) as exporter:
        exporter.until_quiet(60)
        yield _row("at start", exporter.resident_bytes())
        for turn, word in enumerate(("first", "second")):
            highest = _publish(bench, broker, exporter, tasks, first=turn * tasks)
            exporter.until_counted(tasks * (turn + 1) * EVENTS_OF_TASK, 300)
            counted = exporter.counted()["task-succeeded"]
            if counted != tasks * (turn + 1):
                bench.say(f"{NAME}: counted {counted:,.0f} of {tasks * (turn + 1):,} tasks")
            yield _row(f"after the {word} {tasks:,} tasks", exporter.resident_bytes(), judged=True)
            yield _row(f"highest during the {word}", highest)


def _publish(bench: Bench, broker: PrivateRedis, exporter: Subject, tasks: int, first: int) -> int:
    highest = 0
    options = (f"--rate={RATE}", f"--first={first}")
    with bench.publishing(broker, tasks * EVENTS_OF_TASK, *options) as publisher:

        def done() -> bool:
            nonlocal highest
            highest = max(highest, exporter.resident_bytes())
            return not publisher.running

        until(done, "the publisher to end", 600, interval=0.5)
    exporter.until_quiet(300)
    return max(highest, exporter.resident_bytes())


def _row(what: str, size: int, *, judged: bool = False) -> Row:
    megabytes = size / 1e6
    if not judged:
        return Row(NAME, "ours", what, f"{megabytes:.1f} MB")
    return Row(NAME, "ours", what, f"{megabytes:.1f} MB", f"under {WANTED_MEGABYTES} MB", megabytes < WANTED_MEGABYTES)
