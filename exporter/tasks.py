"""From events to counts: every event on the series of its own task and queue, whatever the order they arrive in.

Only the announcement of a task (``task-sent``) names its queue, and only it and ``task-received`` name the task; all
later events carry nothing but the id. So a task is remembered (:mod:`exporter.task_memory`) from its first event to
its last.

This module is the loop that every event goes through, hence written for speed: the uneventful cases in line, with books
and counters in local names, and everything else left to :mod:`exporter.task_handlers`.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from exporter import events as ev
from exporter.task_handlers import TaskHandlers
from exporter.task_memory import FINISHED, OVERTAKEN, READY, RECEIVED, REDELIVERED, RETRY
from exporter.workers import WorkerTable

_UNUSUAL_START = RETRY | REDELIVERED | OVERTAKEN
_OF_WORKER = frozenset({ev.Heartbeat, ev.Online, ev.Offline})


class TaskTracker:
    """Counts all events: tasks' into their series, workers' into their own table."""

    def __init__(self, handlers: TaskHandlers, workers: WorkerTable) -> None:
        self.handlers = handlers
        self.memory = handlers.memory
        self.workers = workers
        self.by_kind: dict[type, int] = dict.fromkeys((kind for kind, _ in ev.TYPES), 0)
        self._by_host = handlers.book.by_host

    def count(self, node: str, batch: list[Any], now: float, wall: float) -> None:
        """Count one message's events. ``node`` is its sender, ``now``/``wall`` the time of receipt on both clocks."""
        handlers = self.handlers
        handlers.now, handlers.wall, handlers.node = now, wall, node
        if len(batch) == 1:
            event = batch[0]
            kind = event.__class__
            if kind is ev.Sent:
                self.by_kind[kind] += 1
                handlers.sent(event)
                return
            if kind in _OF_WORKER:
                self.by_kind[kind] += 1
                self._of_worker(event, now, wall)
                return
        if batch:
            (self._any if self._by_host else self._tasks)(node, batch, now, wall)
            if self.memory.overfull:
                self.memory.make_room(now)

    def _of_worker(self, event: Any, now: float, wall: float) -> None:
        if event.__class__ is ev.Offline:
            self.workers.offline(event, now)
        else:
            self.workers.heartbeat(event, now, wall)

    def _any(self, node: str, batch: list[Any], now: float, wall: float) -> None:
        """A batch without short cuts."""
        handlers = self.handlers
        by_kind = self.by_kind
        worker = self.workers.get(node)
        for event in batch:
            kind = event.__class__
            by_kind[kind] += 1
            handler = handlers.handlers.get(kind)
            if handler is not None:
                worker.last_seen = now
                worker.task_events += 1
                handler(event, worker)
            elif kind is ev.Sent:
                handlers.sent(event)
            else:
                self._of_worker(event, now, wall)

    def _tasks(  # noqa: PLR0915  (one call less per event is a tenth of the time)
        self, node: str, batch: list[Any], now: float, wall: float
    ) -> None:
        """A worker's batch. Each branch does what its handler does when nothing is out of the ordinary."""
        handlers = self.handlers
        memory = self.memory
        waiting, running, done = memory.waiting, memory.running, memory.done
        worker = self.workers.get(node)
        received = started = succeeded = others = reserved = 0
        for event in batch:
            kind = event.__class__
            if kind is ev.Received:
                received += 1
                task = waiting.get(hash(event.uuid))
                if task is None or task.state & RECEIVED or event.eta is not None or event.retries:
                    handlers.received(event, worker)
                    continue
                task.state |= RECEIVED
                task.worker = worker
                reserved += 1
                task.series.only.received += 1  # type: ignore[union-attr]
            elif kind is ev.Started:
                started += 1
                key = hash(event.uuid)
                task = waiting.get(key)
                if task is None or task.state & _UNUSUAL_START or task.worker is not worker:
                    handlers.started(event, worker)
                    continue
                del waiting[key]
                reserved -= 1
                worker.started += 1
                host = task.series.only
                host.started += 1  # type: ignore[union-attr]
                if task.state & READY:
                    wait = event.timestamp - task.since
                    if wait < 0.0:
                        handlers.negative_waits += 1
                        wait = 0.0
                    times = host.wait  # type: ignore[union-attr]
                    times.counts[bisect_left(times.bounds, wait)] += 1
                    times.sum += wait
                task.since = now
                running[key] = task
            elif kind is ev.Succeeded:
                succeeded += 1
                key = hash(event.uuid)
                task = running.pop(key, None)
                runtime = event.runtime
                if task is None or task.state & FINISHED or runtime is None or runtime < 0.0:
                    if task is not None:
                        running[key] = task
                    handlers.succeeded(event, worker)
                    continue
                done[key] = task.series
                host = task.series.only
                host.succeeded += 1  # type: ignore[union-attr]
                times = host.runtime  # type: ignore[union-attr]
                times.counts[bisect_left(times.bounds, runtime)] += 1
                times.sum += runtime
            else:
                others += 1
                worker.reserved += reserved
                reserved = 0
                self._any(node, [event], now, wall)
        worker.reserved += reserved
        heard = received + started + succeeded
        if heard:
            worker.last_seen = now
            worker.task_events += heard
            by_kind = self.by_kind
            by_kind[ev.Received] += received
            by_kind[ev.Started] += started
            by_kind[ev.Succeeded] += succeeded

    def tick(self, now: float, wall: float) -> None:
        """Do what falls due with time: call a few times a second."""
        self.handlers.wall = wall
        self.handlers.release_held(now)
        self.memory.tick(now, wall, self.workers)
