"""How soon a worker that was killed is reported down."""

from __future__ import annotations

import time
from collections.abc import Iterator

from harness.wait import until
from tests.bench.exporter.bench import Bench, Row
from tests.bench.exporter.subjects import Subject
from tests.bench.exporter.workers import workers

NAME = "lost-worker"
HOW = (
    "A real Celery worker is killed with SIGKILL at no moment in particular; seconds until /metrics says "
    "celery_worker_up 0 for it, with the exporter's own defaults; worst of the rounds, each with a worker of its own."
)
DEADLINE_SECONDS = 120
WANTED_SECONDS = 15


def run(bench: Bench) -> Iterator[Row]:
    """Yields the worst of five."""
    if "ours" not in bench.exporters():
        return
    taken = []
    with bench.redis() as broker, bench.start("ours", broker) as exporter:
        for turn in range(bench.some(5, 1)):
            name = f"victim{turn}@here"
            with workers(broker.url, [name], bench.folder) as (worker,):
                until(lambda: _up(exporter, name) == 1, f"{name} to be up", 120)  # noqa: B023
                worker.kill()
                begun = time.monotonic()
                until(lambda: _up(exporter, name) == 0, f"{name} to be down", DEADLINE_SECONDS, interval=0.1)  # noqa: B023
                taken.append(time.monotonic() - begun)
                bench.say(f"{NAME}: reported after {taken[-1]:.1f} s")
    worst = max(taken)
    yield Row(
        NAME,
        "ours",
        f"SIGKILL to celery_worker_up 0, worst of {len(taken)}",
        f"{worst:.1f} s",
        f"within {WANTED_SECONDS} s",
        worst <= WANTED_SECONDS,
    )


def _up(exporter: Subject, worker: str) -> float | None:
    """What the exporter says of this worker; None while it does not know it."""
    for (name, labels), value in exporter.series().items():
        if name == "celery_worker_up" and ("worker", worker) in labels:
            return value
    return None
