"""What each kind of event means for a task, in every order they may come in.

These methods are complete; :mod:`exporter.tasks` handles the common, uneventful cases itself, and leaves the rest to
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporter import events as ev
from exporter.attribution import UNKNOWN_NAME, QueueGuess
from exporter.causes import WORKER_LOST, exception_class, rejects_itself
from exporter.held import Held, HeldTask
from exporter.task_memory import FINISHED, OVERTAKEN, READY, RECEIVED, REDELIVERED, RETRY, Task, TaskMemory
from exporter.task_series import HostSeries, SeriesBook, TaskSeries
from exporter.times import eta_seconds
from exporter.workers import Worker

_FAR = 366 * 86_400.0
"""Seconds; what lies further ahead is no time that anything waits for."""


class TaskHandlers:
    """Counts one event at a time into a :class:`SeriesBook`.

    ``sent_hostname`` and ``worker_hostname``, where given, stand for every client's or worker's host name in labels.
    """

    def __init__(
        self,
        *,
        book: SeriesBook,
        guess: QueueGuess,
        memory: TaskMemory,
        grace: float,
        sent_hostname: str | None = None,
        worker_hostname: str | None = None,
        queue_seen: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.book = book
        self.guess = guess
        self.memory = memory
        self.held = Held(grace)
        self._sent_hostname = sent_hostname
        self._worker_hostname = worker_hostname
        self._queue_seen = queue_seen
        self.unattributed = 0
        self.duplicates = 0
        self.negative_waits = 0
        self.children_lost = 0
        self.now = 0.0
        self.wall = 0.0
        self.node = ""
        self._releasing = False
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
            self._queue_seen(queue)
        (series.only or self.book.on_host(series, self._sent_hostname or self.node.rpartition("@")[2])).sent += 1
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
        if hopeful and self._hold(key, name, event, worker):
            return None
        return memory.put(key, Task(self._guessed(name, worker), self.wall, 0))

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
        if self._hold(key, None, event, worker):
            return None
        return Task(self._guessed(UNKNOWN_NAME, worker), self.wall, 0)

    def _ended(self, event: Any, worker: Worker) -> tuple[TaskSeries, HostSeries, bool] | None:
        """Take a task out of all books at its end: its series, its counters, and whether it had ended before.

        None when this end must not be counted: it was counted before, or it is held until the task is known.
        """
        key = hash(event.uuid)
        memory = self.memory
        task = memory.running.pop(key, None)
        if task is None:
            task = memory.waiting.pop(key, None)
            if task is not None:
                memory.release(task)
        if task is not None:
            series, state = task.series, task.state
        else:
            if key in memory.done or key in memory.done_before:
                self.duplicates += 1
                return None
            if self._hold(key, None, event, worker):
                return None
            series, state = self._guessed(UNKNOWN_NAME, worker), 0
        memory.done[key] = series
        return series, self.host(series, worker), bool(state & FINISHED)

    def succeeded(self, event: ev.Succeeded, worker: Worker) -> None:
        """The task returned."""
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, again = ended
        host.succeeded += 1
        series.again_succeeded += again
        if event.runtime is not None:
            host.runtime.observe(event.runtime if event.runtime > 0.0 else 0.0)

    def failed(self, event: ev.Failed, worker: Worker) -> None:
        """The task failed for good."""
        if rejects_itself(event.exception):
            return  # task-rejected follows
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, again = ended
        error = exception_class(event.exception, event.traceback)
        host.failed += 1
        series.failures += 1
        series.again_failed += again
        self.book.failure(series, host, self._worker_hostname or worker.hostname, error)
        self.children_lost += error == WORKER_LOST

    def revoked(self, event: ev.Revoked, worker: Worker) -> None:
        """The task expired, was terminated, or was revoked before it could start."""
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, again = ended
        host.revoked += 1
        series.again_revoked += again
        if event.expired:
            series.revocations_expired += 1
        elif event.terminated:
            series.revocations_terminated += 1
        else:
            series.revocations_revoked += 1

    def rejected(self, event: ev.Rejected, worker: Worker) -> None:
        """The message was refused: for good, or back into its queue."""
        if event.requeue:
            self._back_to_queue(event, worker, counted=True)
            return
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, again = ended
        host.rejected += 1
        series.rejections_dropped += 1
        series.again_rejected += again

    def cancelled(self, event: ev.Cancelled, worker: Worker) -> None:
        """The worker gave the task up; the broker delivers it again."""
        self._back_to_queue(event, worker, counted=False)

    def _back_to_queue(self, event: ev.Rejected | ev.Cancelled, worker: Worker, *, counted: bool) -> None:
        """The message is in its queue again: it waits from now on, and its next start is a redelivery."""
        key = hash(event.uuid)
        run = self.memory.running.pop(key, None)
        task = self.memory.waiting.pop(key, None)
        if task is not None:
            self.memory.release(task)
        if run is not None:
            series, state = run.series, run.state & FINISHED | REDELIVERED
        elif task is not None:
            series, state = task.series, task.state & (FINISHED | RETRY)
        else:
            if self._hold(key, None, event, worker):
                return
            series, state = self._guessed(UNKNOWN_NAME, worker), REDELIVERED
        if counted:
            self.host(series, worker).rejected += 1
            series.rejections_requeued += 1
            self.children_lost += run is not None
        self.memory.put(key, Task(series, event.timestamp or self.wall, state | READY))

    def retried(self, event: ev.Retried, worker: Worker) -> None:
        """This attempt is over; the next has been published, and may have been announced or even received already."""
        key = hash(event.uuid)
        memory = self.memory
        task = memory.running.pop(key, None) or memory.waiting.get(key)
        ended = memory.done.get(key) or memory.done_before.get(key)
        if task is not None:
            series = task.series
        elif ended is not None:
            # The last attempt was over before the worker got round to telling of this one.
            series = ended
        elif self._hold(key, None, event, worker):
            return
        else:
            series = self._guessed(UNKNOWN_NAME, worker)
        self.host(series, worker).retried += 1
        self.book.retry(series, exception_class(event.exception, event.traceback))
        if key not in memory.waiting and (task is not None or ended is None):
            # No announcement of the next attempt has come; its receipt will find the series here.
            memory.put(key, Task(series, self.wall, RETRY))

    def host(self, series: TaskSeries, worker: Worker) -> HostSeries:
        """The counters of ``series`` for what happened on ``worker``."""
        return series.only or self.book.on_host(series, self._worker_hostname or worker.hostname)

    def _guessed(self, name: str, worker: Worker) -> TaskSeries:
        queue, follows = self.guess.queue(name, worker)
        if not follows or name == UNKNOWN_NAME:
            self.unattributed += 1
        return self.book.get(name, queue)

    def _hold(self, key: int, name: str | None, event: ev.Event, worker: Worker) -> bool:
        return not self._releasing and self.held.hold(key, name, event, worker, self.now)

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
        self._releasing = True
        for key, held in self.held.due(now):
            name = held.name if held.name is not None else UNKNOWN_NAME
            if held.name is not None:
                self.guess.waited_in_vain(name)
            if key not in self.memory.waiting:
                self.memory.put(key, Task(self._guessed(name, held.events[0][1]), self.wall, 0))
            self._replay(held)
        self._releasing = False
