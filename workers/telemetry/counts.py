"""Task counters and durations over OTLP, and what a worker node observes: queue depths and itself."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from opentelemetry.metrics import Observation

from workers.instrumentation.broker import Broker


class TaskCounts:
    """Handlers of Celery's task signals that count over OTLP. Each process that runs tasks has its own."""

    def __init__(self, meter: Any) -> None:
        def counter(name: str, text: str) -> Any:
            return meter.create_counter(f"celery.task.{name}", unit="1", description=text)

        self._started = counter("started", "Attempts at a task that started")
        self._attempts = counter("attempts", "Attempts at a task, retries too")
        self._completed = counter("completed", "Tasks that succeeded")
        self._failed = counter("failed", "Tasks that failed")
        self._retries = counter("retries", "Attempts that asked for another")
        self._duration = meter.create_histogram(
            "celery.task.duration", unit="ms", description="Duration of an attempt at a task"
        )

    def prerun(self, task: Any = None, **_: Any) -> None:
        """Handler of ``task_prerun``."""
        labels = _labels(task.request, task.name)
        self._started.add(1, labels)
        self._attempts.add(1, labels)
        task.request.counted = time.perf_counter()

    def postrun(self, task: Any = None, state: str | None = None, **_: Any) -> None:
        """Handler of ``task_postrun``."""
        started = getattr(task.request, "counted", None)
        if started is None:
            return
        labels = _labels(task.request, task.name)
        self._duration.record((time.perf_counter() - started) * 1000, labels)
        if state == "SUCCESS":
            self._completed.add(1, labels)

    def failed(self, sender: Any = None, exception: BaseException | None = None, **_: Any) -> None:
        """Handler of ``task_failure``."""
        self._failed.add(1, {**_labels(sender.request, sender.name), "error_type": type(exception).__name__})

    def retried(self, sender: Any = None, request: Any = None, **_: Any) -> None:
        """Handler of ``task_retry``."""
        self._retries.add(1, _labels(request, sender.name))


def _labels(request: Any, task: str) -> dict[str, str]:
    return {"task": task, "queue": (request.delivery_info or {}).get("routing_key") or ""}


def observe_node(meter: Any, app: Any, name: str) -> None:
    """Have ``meter`` report this worker node, and the depths of the queues that it consumes.

    Each node reports 1 for itself: the sum over all is the number of workers, without asking any of them. All nodes
    report the same depths: take the maximum.
    """
    broker = Broker(app, lambda: app.amqp.queues.consume_from)
    broker.start()

    def depths(_: Any) -> Iterable[Observation]:
        return [Observation(depth, {"queue": queue}) for queue, depth in broker.depths.items()]

    for kind in ("depth", "size"):
        meter.create_observable_gauge(
            f"celery.queue.{kind}", [depths], unit="1", description="Messages that wait in the queue"
        )
    meter.create_observable_gauge(
        "celery.workers.active",
        [lambda _: [Observation(1, {"worker": name})]],
        unit="1",
        description="1 for each worker node",
    )
