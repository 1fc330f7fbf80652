"""12,000 tasks that waited for a worker: on which queue they are counted, and whether their wait is seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from harness.private_exporter import total
from harness.wait import Pending, until
from tests.bench.exporter.bench import Bench, Row
from tests.bench.exporter.subjects import Subject
from tests.bench.exporter.workers import QUEUE, publish, workers

NAME = "backlog"
HOW = (
    "12,000 tasks published with Celery while no worker runs, then drained by one real prefork worker of two "
    "processes; all exporters watch the same fleet at the same time. Counts on the queue that the tasks went to; "
    "wait: tasks whose time in the queue is in the histogram."
)
KINDS = ("sent", "received", "started", "succeeded")
DRAIN_SECONDS = 600


def run(bench: Bench) -> Iterator[Row]:
    """Yields the counts of each exporter."""
    tasks = bench.some(12_000, 600)
    with ExitStack() as stack:
        broker = stack.enter_context(bench.redis())
        watching = {name: stack.enter_context(bench.start(name, broker)) for name in bench.exporters()}
        publish(broker.url, tasks)
        bench.say(f"{NAME}: {tasks:,} tasks wait")
        stack.enter_context(workers(broker.url, ["drain@here"], bench.folder, "--concurrency=2"))
        for name, exporter in watching.items():
            finished = _until_counted(exporter, tasks)
            bench.say(f"{NAME}: {name} counted {finished:,.0f} tasks as succeeded, on whatever queue")
        for name, exporter in watching.items():
            series = exporter.series()
            on_queue = {kind: total(series, f"celery_task_{kind}_total", queue_name=QUEUE) for kind in KINDS}
            waits = total(series, "celery_task_queue_wait_time_count", queue_name=QUEUE)
            mine = name == "ours"
            right = all(count == tasks for count in on_queue.values())
            counts = ", ".join(f"{count:,.0f} {kind}" for kind, count in on_queue.items())
            wanted = f"{tasks:,} each" if mine else ""
            yield Row(NAME, name, f"counted on queue {QUEUE}", counts, wanted, right if mine else None)
            yield Row(NAME, name, "waits observed", f"{waits:,.0f}", f"{tasks:,}" if mine else "",
                      waits == tasks if mine else None)  # fmt: skip


def _until_counted(exporter: Subject, tasks: int) -> float:
    """Wait until the exporter counted all tasks, or says no more; how many it counted."""
    seen: list[float] = []

    def complete() -> float | Pending:
        seen.append(exporter.counted()["task-succeeded"])
        stands = len(seen) > 15 and seen[-1] == seen[-16] > 0  # 15 looks without a new one: no more will come
        return seen[-1] if seen[-1] >= tasks or stands else Pending(f"{seen[-1]:,.0f} of {tasks:,} tasks")

    return until(complete, f"{exporter.name} to count the tasks", DRAIN_SECONDS, interval=1)
