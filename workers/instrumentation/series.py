"""The series that worker processes write, and the few microseconds per task in which they write them.

Import this only after the node's folder has been claimed: prometheus_client decides on its first import whether it
shares values between processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.mmap_dict import mmap_key

from workers.instrumentation import buckets
from workers.instrumentation.queues import QueueNames
from workers.instrumentation.stamp import HEADER

STATUSES = ("success", "failure", "retry")
#: Exceptions by which retries are told apart; more than this many are data, not reasons.
MAX_REASONS = 50

JOBS = ("worker_jobs_total", "Attempts at a task that ended, by how: success, failure or retry.")


class QueueHistogram:
    """One histogram whose bucket bounds differ by queue.

    prometheus_client ties bounds to a histogram, not to a label set. In its files a bucket is a series of its own,
    so histograms of one name with different bounds add up correctly as long as no label set is in two of them.
    """

    def __init__(self, name: str, text: str, labels: tuple[str, ...], table: buckets.BucketTable) -> None:
        self._name, self._text, self._labels, self._table = name, text, labels, table
        self._by_bounds: dict[tuple[float, ...], Histogram] = {}

    def observer(self, queue: str, *others: str) -> Callable[[float], None]:
        """The bound method that observes seconds for ``queue`` and the other labels' values."""
        bounds = buckets.of(self._table, queue)
        histogram = self._by_bounds.get(bounds)
        if histogram is None:
            histogram = Histogram(self._name, self._text, self._labels, registry=None, buckets=bounds)
            self._by_bounds[bounds] = histogram
        return histogram.labels(queue, *others).observe


class Cell(NamedTuple):
    """What one task on one queue counts with, bound once."""

    queue: str
    wait: Callable[[float], None]
    run: Callable[[float], None]
    ended: dict[str, Callable[[], None]]


class Series:
    """All series of a worker process, and the handlers of Celery's task signals that feed them."""

    def __init__(self, app: Any, tables: dict[str, buckets.BucketTable]) -> None:
        self._queues = QueueNames(app)
        self._jobs = Counter(*JOBS, ["queue", "task", "status"], registry=None)
        self._retries = Counter(
            "worker_retries_total",
            "Attempts at a task that asked for another, by the type of the exception that made them.",
            ["queue", "task", "reason"],
            registry=None,
        )
        self._quarantined = Counter(
            "worker_quarantined_total",
            "Messages set aside because they were redelivered too often.",
            ["queue", "task"],
            registry=None,
        )
        self._wait = QueueHistogram(
            "worker_queue_wait_seconds",
            "Seconds from a message's publication, or its ETA, until a process started on it.",
            ("queue",),
            tables["wait"],
        )
        self._exec = QueueHistogram(
            "worker_exec_seconds",
            "Seconds from a process's start on a task until the attempt's end.",
            ("queue", "task"),
            tables["exec"],
        )
        self._canary = QueueHistogram(
            "canary_latency_seconds",
            "Seconds from a canary's publication until it ran.",
            ("queue",),
            tables["canary"],
        )
        self._canary_return = Gauge(
            "canary_last_return_timestamp_seconds",
            "When a canary of this queue last ran, in seconds since the epoch.",
            ["queue"],
            registry=None,
            multiprocess_mode="max",
        )
        self._cells: dict[tuple[str | None, str | None, str], Cell] = {}
        self._reasons: set[str] = set()

    def prerun(self, task: Any = None, **_: Any) -> None:
        """Handler of ``task_prerun``: the wait is over."""
        request = task.request
        cell = self._cell(request.delivery_info, task.name)
        enqueued_at = getattr(request, HEADER, None)
        if enqueued_at is not None:
            cell.wait(waited(enqueued_at, request.eta, time.time()))
        # Kept on the request: a dict by task id would need a lock with threads, and leak what never ends.
        request.measured = (cell, time.perf_counter())

    def postrun(self, task: Any = None, state: str | None = None, **_: Any) -> None:
        """Handler of ``task_postrun``: the attempt is over."""
        measured = getattr(task.request, "measured", None)
        if measured is None:
            return
        cell, started = measured
        cell.run(time.perf_counter() - started)
        count = cell.ended.get(state)
        if count is not None:
            count()

    def retried(self, request: Any = None, reason: Any = None, sender: Any = None, **_: Any) -> None:
        """Handler of ``task_retry``: why the attempt asked for another."""
        kind = type(getattr(reason, "exc", None) or reason).__name__
        if kind not in self._reasons:
            if len(self._reasons) >= MAX_REASONS:
                kind = "other"
            self._reasons.add(kind)
        self._retries.labels(self._queues.of(request.delivery_info), sender.name, kind).inc()

    def lost(self, task: Any, delivery: dict[str, Any] | None) -> None:
        """Count a task as failed whose process died or was killed, and so could not count it itself."""
        self._cell(delivery, task.name).ended["FAILURE"]()

    def quarantined(self, task: Any, delivery: dict[str, Any] | None) -> None:
        """Count a message that was set aside; it counts as failed too, for it never runs again."""
        cell = self._cell(delivery, task.name)
        self._quarantined.labels(cell.queue, task.name).inc()
        cell.ended["FAILURE"]()

    def canary_returned(self, request: Any) -> None:
        """Observe the way of a canary that runs now."""
        now = time.time()
        queue = self._queues.of(request.delivery_info)
        self._canary_return.labels(queue).set(now)
        enqueued_at = getattr(request, HEADER, None)
        if enqueued_at is not None:
            self._canary.observer(queue)(max(0.0, now - enqueued_at))

    def _cell(self, delivery: dict[str, Any] | None, task: str) -> Cell:
        key = (delivery.get("exchange"), delivery.get("routing_key"), task) if delivery else (None, None, task)
        cell = self._cells.get(key)
        if cell is None:
            queue = self._queues.of(delivery)
            ended = {status: self._jobs.labels(queue, task, status).inc for status in STATUSES}
            cell = Cell(
                queue,
                self._wait.observer(queue),
                self._exec.observer(queue, task),
                {"SUCCESS": ended["success"], "FAILURE": ended["failure"], "RETRY": ended["retry"]},
            )
            self._cells[key] = cell
        return cell


def waited(enqueued_at: float, eta: str | datetime | None, started: float) -> float:
    """Seconds that a message waited although it could have been run; never negative, whatever the clocks say."""
    since = enqueued_at
    if eta:
        due = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
        since = max(since, due.timestamp())
    return max(0.0, started - since)


def zero_jobs(app: Any) -> Iterator[str]:
    """Keys of the counters that a worker with ``app``'s tasks and queues will use, for NodeFiles.seed."""
    consumed = app.amqp.queues.consume_from
    for name in list(app.tasks):
        if name.startswith("celery."):
            continue
        queue = app.amqp.router.route({}, name).get("queue")
        queue = getattr(queue, "name", queue)
        if queue in consumed:
            for status in STATUSES:
                yield mmap_key(
                    JOBS[0].removesuffix("_total"),
                    JOBS[0],
                    ["queue", "task", "status"],
                    [queue, name, status],
                    JOBS[1],
                )
