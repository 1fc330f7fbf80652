"""What each kind of event means for a task, in every order they may come in.

These methods are complete; :mod:`exporter.tasks` handles the common, uneventful cases itself, and leaves the rest to
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporter import events as ev
from exporter.attribution import UNKNOWN_NAME
from exporter.held import HeldTask
from exporter.task_ends import TaskEnds
from exporter.task_memory import FINISHED, OVERTAKEN, READY, RECEIVED, REDELIVERED, RETRY, Task
from exporter.times import eta_seconds
from exporter.workers import Worker

_FAR = 366 * 86_400.0
"""Seconds; what lies further ahead is no time that anything waits for."""


class TaskHandlers(TaskEnds):
    """All handlers of task events; :attr:`handlers` finds those of workers' events by their class."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.handlers: dict[type, Callable[[Any, Worker], None]] = {
            ev.Received: self.received,
            ev.Started: self.started,
            ev.Succeeded: self.succeeded,
            ev.Failed: self.failed,
            ev.Retried: self.retried,
            ev.Rejected: self.rejected,
            ev.Revoked: self.revoked,
            ev.Cancelled: self.cancelled,
        }

    def sent(self, event: ev.Sent) -> None:
        """A client has published a task: from here on its queue is known."""
        queue = event.queue
        if queue is None:
            queue = self.guess.queue(event.name, None)[0]
        series = self.book.series.get((event.name, queue))
        if series is None:
            series = self.book.get(event.name, queue)
            self.guess.sent(event.name, queue)
            self.queue_seen(queue)
        (series.only or self.book.on_host(series, self.sent_hostname or self.node.rpartition("@")[2])).sent += 1
        since = event.timestamp
        if event.eta is not None:
            since = max(since, eta_seconds(event.eta))
        if since - self.wall > _FAR:
            since = self.wall
        key = hash(event.uuid)
        memory = self.memory
        known = memory.waiting.get(key)
        if known is not None:
            if known.state & RECEIVED and event.retries:
                # Published by the attempt before it, whose start its worker has not told of yet.
                memory.overtake(key, known, Task(series, since, READY | RETRY))
                return
            memory.release(known)
        elif memory.crowded and memory.no_room(series):
            return
        memory.waiting[key] = Task(series, since, READY | RETRY if event.retries else READY)
        held = self.held.tasks.pop(key, None) if self.held.tasks else None
        if held is not None:
            self._replay(held)

    def received(self, event: ev.Received, worker: Worker) -> None:
        """A worker holds the message."""
        key = hash(event.uuid)
        task = self.memory.waiting.get(key)
        if task is None:
            task = self._received_unannounced(key, event, worker)
            if task is None:
                return
        else:
            # If another worker held it before, that one gave it back without a word.
            self.memory.release(task)
            if task.state & OVERTAKEN and event.retries:
                task = self.memory.catch_up(key) or task
        task.state |= RECEIVED | RETRY if event.retries else RECEIVED
        task.worker = worker
        if event.eta is not None:
            task.since = max(task.since, eta_seconds(event.eta))
        worker.reserved += 1
        self.host(task.series, worker).received += 1

    def _received_unannounced(self, key: int, event: ev.Received, worker: Worker) -> Task | None:
        """A message whose announcement is not at hand: a redelivery, or a task that nobody has announced yet."""
        memory = self.memory
        run = memory.running.pop(key, None)
        if run is not None:
            # Without a publication in between it is the same message once more, unless it is a retry whose client sends
            # no announcements.
            again = RETRY if event.retries and not run.state & RETRY else REDELIVERED
            return memory.put(key, Task(run.series, self.wall, again))
        series = memory.take_done(key)
        if series is not None:
            return memory.put(key, Task(series, self.wall, REDELIVERED | FINISHED))
        name = event.name if event.name is not None else UNKNOWN_NAME
        self.guess.came_unannounced(name)
        hopeful = key in self.held.tasks or not self.guess.waiting_is_vain(name)
        if hopeful and self.hold(key, name, event, worker):
            return None
        return memory.put(key, Task(self.guessed(name, worker), self.wall, 0))

    def started(self, event: ev.Started, worker: Worker) -> None:
        """An attempt begins."""
        key = hash(event.uuid)
        task = self.memory.waiting.pop(key, None)
        if task is None:
            task = self._started_unexpectedly(key, event, worker)
            if task is None:
                return
        worker.started += 1
        self.memory.release(task)
        series, state = task.series, task.state
        host = self.host(series, worker)
        host.started += 1
        if state & READY:
            wait = event.timestamp - task.since
            if wait < 0.0:
                self.negative_waits += 1
                wait = 0.0
            host.wait.observe(wait)
        if state & REDELIVERED:
            series.attempts_redelivered += 1
        elif state & RETRY:
            series.attempts_retry += 1
        if state & OVERTAKEN:
            self.memory.catch_up(key)
        task.since, task.worker = self.now, worker
        self.memory.running[key] = task

    def _started_unexpectedly(self, key: int, event: ev.Started, worker: Worker) -> Task | None:
        run = self.memory.running.pop(key, None)
        if run is not None:
            return Task(run.series, self.wall, REDELIVERED)
        series = self.memory.take_done(key)
        if series is not None:
            return Task(series, self.wall, REDELIVERED | FINISHED)
        if self.hold(key, None, event, worker):
            return None
        return Task(self.guessed(UNKNOWN_NAME, worker), self.wall, 0)

    def _replay(self, held: HeldTask) -> None:
        now = self.now
        for event, worker, at in held.events:
            self.now = at
            self.handlers[event.__class__](event, worker)
        self.now = now

    def release_held(self, now: float) -> None:
        """Count the events whose announcement has not come in time, on the queue that is most likely."""
        if not self.held.tasks:
            return
        self.now = now
        self.releasing = True
        for key, held in self.held.due(now):
            name = held.name if held.name is not None else UNKNOWN_NAME
            if held.name is not None:
                self.guess.waited_in_vain(name)
            if key not in self.memory.waiting:
                self.memory.put(key, Task(self.guessed(name, held.events[0][1]), self.wall, 0))
            self._replay(held)
        self.releasing = False
