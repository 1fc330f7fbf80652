"""What the parent process of a worker node knows by itself: gauges computed when somebody asks."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from celery.worker import state as worker_state
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from workers.instrumentation.broker import Broker
from workers.instrumentation.health import Health, pool_processes
from workers.instrumentation.queues import QueueNames


class NodeState(Collector):
    """Tasks in flight, queue depths, the pool and the health checks of one worker node.

    Tasks in flight are the parent's to tell: it hears of each start and end whatever the pool is, and it hears when
    a child was killed, which the child could not have written down. It costs the task nothing.
    """

    def __init__(self, app: Any, worker: Any, health: Health, broker: Broker) -> None:
        self._app, self._worker, self._health, self._broker = app, worker, health, broker
        self._queues = QueueNames(app)
        self._seen: set[str] = set()

    def describe(self) -> list[Any]:
        """Nothing: registering must not ask the broker."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        inflight = GaugeMetricFamily("worker_inflight_jobs", "Tasks that run now.", labels=["queue"])
        running = Counter(self._queues.of(request.delivery_info) for request in _active())
        self._seen.update(running, self._app.amqp.queues.consume_from)
        for queue in sorted(self._seen):
            inflight.add_metric([queue], running[queue])
        yield inflight
        depth = GaugeMetricFamily(
            "worker_queue_depth", "Messages that wait in the queue, not yet delivered to a worker.", labels=["queue"]
        )
        for queue, length in self._broker.depths.items():
            depth.add_metric([queue], length)
        yield depth
        processes = pool_processes(self._worker)
        if processes is not None:
            yield GaugeMetricFamily(
                "worker_pool_processes", "Child processes of the pool, whatever they do.", value=len(processes)
            )
        health = GaugeMetricFamily(
            "worker_health", "1 where the check of this worker's health passes, 0 where it fails.", labels=["check"]
        )
        for name, report in self._health.everything()[1]["checks"].items():
            health.add_metric([name], float(report["status"] == "healthy"))
        yield health


def _active() -> list[Any]:
    """The requests that run, from another thread than the one that changes them."""
    for _ in range(5):
        with contextlib.suppress(RuntimeError):  # changed while it was read: read again
            return list(worker_state.active_requests)
    return []


def solo_busy_since(worker: Any) -> float:
    """Since when, in monotonic seconds, a solo pool runs a task in the event loop's thread; 0 where it runs none."""
    if not type(worker.pool).__module__.endswith(".solo"):
        return 0.0
    started = [request.time_start for request in _active() if request.time_start]
    return time.monotonic() - (time.time() - min(started)) if started else 0.0
