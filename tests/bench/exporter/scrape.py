"""How long /metrics takes with 2,000 series: idle and under events, with no, one and ten workers."""

from __future__ import annotations

import http.client
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext

from harness.private_exporter import total
from harness.private_redis import PrivateRedis
from harness.wait import until
from tests.bench.exporter.bench import UNLIMITED, Bench, Row
from tests.bench.exporter.subjects import Subject
from tests.bench.exporter.workers import workers

NAME = "scrape"
HOW = (
    "GET /metrics over one kept connection that accepts gzip, as Prometheus asks, until the last byte is read; the "
    "page has 2,000 samples or more (made by events of as many tasks as it takes); workers are real Celery workers "
    "that do nothing; events come from the publisher at 20,000 a second."
)
SAMPLES = 2000
RATE = 20_000
QUEUES = 4
PAUSE_SECONDS = 0.01
STARTING_SECONDS = 180


def run(bench: Bench) -> Iterator[Row]:
    """Yields the median and the 99th percentile for each exporter, number of workers and load."""
    for name in bench.exporters():
        looks = bench.some(20 if name == "upstream" else 1000, 3 if name == "upstream" else 50)
        for count in (0, 1, 10) if not bench.quick else (0, 1):
            with ExitStack() as stack:
                broker = stack.enter_context(bench.redis(**UNLIMITED))
                exporter = stack.enter_context(bench.start(name, broker))
                fleet = [f"idle{n}@here" for n in range(count)]
                stack.enter_context(workers(broker.url, fleet, bench.folder))
                until(lambda: _up(exporter) >= count, f"{count} workers to be up", STARTING_SECONDS, interval=2)  # noqa: B023
                names, samples = _fill(bench, broker, exporter)
                for load in ("idle", f"{RATE:,} events/s"):
                    busy = nullcontext()
                    if load != "idle":
                        busy = bench.publishing(
                            broker, RATE * 600, f"--rate={RATE}", f"--names={names}", f"--queues={QUEUES}"
                        )
                    with busy:
                        if load != "idle":
                            _until_events_rise(exporter)
                        taken = _ask(exporter, looks)
                    yield from _rows(name, f"{count} workers, {load}, {samples:,} samples", taken)


def _up(exporter: Subject) -> float:
    return total(exporter.series(), "celery_worker_up")


def _fill(bench: Bench, broker: PrivateRedis, exporter: Subject) -> tuple[int, int]:
    """Publish events of more and more task names until the page is large enough; the names and the samples."""
    names = 4
    while True:
        pairs = names * QUEUES
        # Twice every pair, and whole rounds of the batches that it takes to name them all.
        events = 2 * math.ceil(pairs / 8) * 8 * 4
        bench.publish(broker, events, 120, f"--names={names}", f"--queues={QUEUES}")
        expected = pairs
        until(lambda: _pairs(exporter) >= expected, f"{expected} tasks to be counted", 60)  # noqa: B023
        samples = len(exporter.series())
        if samples >= SAMPLES:
            return names, samples
        names = max(names + 1, math.ceil(names * SAMPLES / samples))


def _pairs(exporter: Subject) -> int:
    return sum(1 for (name, _labels), value in exporter.series().items()
               if name == "celery_task_succeeded_total" and value)  # fmt: skip


def _until_events_rise(exporter: Subject) -> None:
    before = sum(exporter.counted().values())
    until(lambda: sum(exporter.counted().values()) > before + RATE, "the load to arrive", 60)


def _ask(exporter: Subject, looks: int) -> list[float]:
    taken = []
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=60)
    try:
        for _ in range(looks):
            begun = time.perf_counter()
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            answer = connection.getresponse()
            answer.read()
            taken.append(time.perf_counter() - begun)
            if answer.status != http.client.OK:
                raise RuntimeError(f"/metrics answered {answer.status}")
            time.sleep(PAUSE_SECONDS)  # the pace of the scrapes
    finally:
        connection.close()
    return sorted(taken)


def _rows(name: str, what: str, taken: list[float]) -> Iterator[Row]:
    median = taken[len(taken) // 2] * 1000
    late = taken[min(len(taken) - 1, math.ceil(len(taken) * 0.99) - 1)] * 1000
    mine = name == "ours"
    yield Row(NAME, name, f"median, {what}", f"{median:.1f} ms", "under 5 ms" if mine else "",
              median < 5 if mine else None)  # fmt: skip
    yield Row(NAME, name, f"p99, {what}", f"{late:.1f} ms", "under 10 ms" if mine else "",
              late < 10 if mine else None)  # fmt: skip
