"""Watches a worker's event loop and its consumer from the inside.

A step of the consumer's blueprint looks around once a second *in the loop*, and writes down what it sees. Whoever is
asked for the worker's health, in another thread, judges by how old that is. Heartbeats prove less: with some pools
they come from a thread of their own, and a consumer that stopped asking the broker for messages sends them on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from celery import bootsteps
from celery.worker import state as worker_state

LOOK_SECONDS = 1.0


@dataclass
class View:
    """What the loop last saw; times are monotonic seconds."""

    #: starting, running, disconnected (looking for the broker) or stopping
    phase: str = "starting"
    phase_since: float = field(default_factory=time.monotonic)
    turned_at: float = field(default_factory=time.monotonic)
    #: Why no message can arrive, and since when; empty while all is well.
    consumer_fault: str = ""
    consumer_fault_since: float = 0.0
    #: Since when a task waits for a process although one is free; 0 while none does.
    stuck_since: float = 0.0
    #: Delivery information of the tasks that ran at the last two looks, by task id.
    deliveries: dict[str, dict[str, Any]] = field(default_factory=dict)
    _looked: dict[str, dict[str, Any]] = field(default_factory=dict)

    def remember(self, requests: Iterable[Any]) -> None:
        """Note where the running tasks came from, for those whose process is gone at the next look."""
        now = {request.id: request.delivery_info for request in requests}
        self.deliveries, self._looked = self._looked | now, now

    def enter(self, phase: str) -> None:
        """Change the phase and restart its clock."""
        self.phase, self.phase_since = phase, time.monotonic()


class Watch(bootsteps.StartStopStep):  # type: ignore[misc]
    """The consumer's step. The view is the class's: one process runs one worker."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    name = "Watch"
    view = View()

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None
        self._last_total = -1

    def include_if(self, parent: Any) -> bool:
        """Always."""
        return True

    def start(self, c: Any) -> None:
        """The consumer is connected: watch it until it stops."""
        view = Watch.view
        view.turned_at = time.monotonic()
        view.consumer_fault = ""
        view.stuck_since = 0.0
        view.enter("running")
        self._cancel()
        if c.hub is not None:
            self._timer = c.timer.call_repeatedly(LOOK_SECONDS, self._look, (c,))
        else:
            # The blocking loop's timers run in a thread of their own; this is what the loop itself calls each turn.
            pending = c.perform_pending_operations

            def turn() -> Any:
                self._look(c)
                return pending()

            c.perform_pending_operations = turn

    def stop(self, c: Any) -> None:
        """The consumer lost its connection or ends."""
        self._cancel()
        if Watch.view.phase != "stopping":
            Watch.view.enter("disconnected")

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, c: Any) -> None:
        view, now = Watch.view, time.monotonic()
        view.turned_at = now
        fault = consumer_fault(c, now)
        if not fault:
            view.consumer_fault = ""
        elif not view.consumer_fault:
            view.consumer_fault_since = now
            view.consumer_fault = fault
        self._look_for_stuck(c, view, now)
        view.remember(worker_state.active_requests)

    def _look_for_stuck(self, c: Any, view: View, now: float) -> None:
        """A task that was given to the pool and is not started, with a free process and no rate limit."""
        total = sum(worker_state.total_count.values())
        active = len(worker_state.active_requests)
        waiting = len(worker_state.reserved_requests) - active
        free = active < (getattr(c.pool, "num_processes", None) or 1)
        limited = any(bucket is not None for bucket in c.task_buckets.values())
        if waiting <= 0 or not free or limited or total != self._last_total:
            view.stuck_since = 0.0
        elif not view.stuck_since:
            view.stuck_since = now
        self._last_total = total


def consumer_fault(c: Any, now: float) -> str:
    """Why the consumer of ``c`` cannot receive a message, or an empty string.

    The first part holds for any transport. The second looks into the Redis transport, whose worker can lose its
    blocking read and go on as if nothing were wrong; on other transports and versions without it nothing is said.
    """
    consumer = c.task_consumer
    if consumer is None:
        return "there is no consumer"
    if not any(consumer.consuming_from(queue) for queue in consumer.queues):
        return "no queue is consumed"
    channel: Any = getattr(consumer, "channel", None)
    sent_at = getattr(channel, "_brpop_sent_at", None)
    if sent_at is None or not channel.qos.can_consume():
        return ""
    patience = (getattr(channel, "brpop_timeout", None) or 1) + OVERDUE_SECONDS
    if now - sent_at > patience:
        if getattr(channel, "_in_poll", None):
            return "the broker does not answer the read for messages"
        return "messages are not read from the broker"
    return ""


#: A read that the broker should have answered is given this long before it counts as lost.
OVERDUE_SECONDS = 5.0
