"""From events to counts: every event on the series of its own task and queue, whatever the order they arrive in.

Only the announcement of a task (``task-sent``) names its queue, and only it and ``task-received`` name the task; all
later events carry nothing but the id. So a task is remembered from its first event to its last, in few bytes:

- ``waiting``: announced or received, not started.
- ``running``: started.
- ``held``: events of a task that has not been announced yet. Clients publish the message first and the announcement
  second, so a fast worker's events may come first; they wait a moment, then are counted as well as can be.
- ``done``: ended a moment ago; a second end is a duplicate, a second receipt a redelivery.

Ids are kept as 64-bit hashes. Everything is bounded in number and time. One thread calls these methods.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from exporter import events as ev
from exporter.attribution import UNKNOWN_NAME, QueueGuess
from exporter.causes import WORKER_LOST, exception_class
from exporter.task_series import HostSeries, SeriesBook, TaskSeries
from exporter.workers import Worker, WorkerTable

# What is known of a waiting task.
READY = 1  # `since` is the time at which it could have started
RECEIVED = 2
RETRY = 4
REDELIVERED = 8
FINISHED = 16  # it has ended once already, so it is not a task more

_DONE_LIMIT = 20_000
_DONE_SECONDS = 60.0
_HELD_LIMIT = 50_000
_HELD_EVENTS = 8


class Waiting(msgspec.Struct, gc=False):
    """A task that has not started; ``since`` is the later of its publication and its ETA (seconds since the epoch).

    Without :data:`READY` that time is not known, and ``since`` is when the record was made.
    """

    series: TaskSeries
    since: float
    state: int
    worker: Worker | None = None


class Running(msgspec.Struct, gc=False):
    """A task at work; ``start`` on the exporter's own steady clock."""

    series: TaskSeries
    start: float
    state: int
    worker: Worker


class Held:
    """Events of a task whose announcement has not come yet."""

    __slots__ = ("deadline", "events", "name")

    def __init__(self, name: str | None, deadline: float) -> None:
        self.name = name
        self.deadline = deadline
        self.events: list[tuple[ev.Event, Worker, float]] = []


class TaskTracker:
    """Counts task events into a :class:`SeriesBook` and into the workers' own counters."""

    def __init__(
        self,
        *,
        book: SeriesBook,
        workers: WorkerTable,
        guess: QueueGuess,
        max_tasks: int,
        task_ttl: float,
        grace: float,
        sent_hostname: str | None = None,
        worker_hostname: str | None = None,
        queue_seen: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.book = book
        self.workers = workers
        self.guess = guess
        self._max_tasks = max_tasks
        self._max_unread = max_tasks * 4 // 5
        self._ttl = task_ttl
        self._grace = grace
        self._sent_hostname = sent_hostname
        self._worker_hostname = worker_hostname
        self._queue_seen = queue_seen
        self.waiting: dict[int, Waiting] = {}
        self.running: dict[int, Running] = {}
        self.held: dict[int, Held] = {}
        self._done: dict[int, TaskSeries] = {}
        self._done_before: dict[int, TaskSeries] = {}
        self._done_since = 0.0
        self._swept = 0.0
        self.by_type: dict[str, int] = dict.fromkeys((tag for _, tag in ev.TYPES), 0)
        self.unattributed = 0
        self.untracked = 0
        self.duplicates = 0
        self.negative_waits = 0
        self.children_lost = 0
        self._now = 0.0
        self._wall = 0.0
        self._releasing = False
        self._node = ""
        self._handlers: dict[type, Callable[[Any, Worker], None]] = {
            ev.Received: self._received,
            ev.Started: self._started,
            ev.Succeeded: self._succeeded,
            ev.Failed: self._failed,
            ev.Retried: self._retried,
            ev.Rejected: self._rejected,
            ev.Revoked: self._revoked,
            ev.Cancelled: self._cancelled,
        }
        self._tags = dict(ev.TYPES)

    def count(self, node: str, batch: list[ev.Event], now: float, wall: float) -> None:
        """Count one message's events. ``node`` is its sender, ``now``/``wall`` the time of receipt on both clocks."""
        self._now, self._wall, self._node = now, wall, node
        handlers = self._handlers
        by_type, tags = self.by_type, self._tags
        worker: Worker | None = None
        for event in batch:
            kind = event.__class__
            by_type[tags[kind]] += 1
            if kind is ev.Sent:
                self._sent(event)  # type: ignore[arg-type]
                continue
            handler = handlers.get(kind)
            if handler is None:
                self._of_worker(event)
                continue
            if worker is None:
                worker = self.workers.get(node)
                worker.last_seen = now
            worker.task_events += 1
            handler(event, worker)

    def _of_worker(self, event: Any) -> None:
        if isinstance(event, ev.Offline):
            self.workers.offline(event, self._now)
        else:
            self.workers.heartbeat(event, self._now, self._wall)

    # -- the life of a task ------------------------------------------------------------------------------------------

    def _sent(self, event: ev.Sent) -> None:
        queue = event.queue
        if queue is None:
            queue = self.guess.queue(event.name, None)[0]
        book = self.book
        series = book.series.get((event.name, queue))
        if series is None:
            series = book.get(event.name, queue)
            self.guess.sent(event.name, queue)
            self._queue_seen(queue)
        (series.only or book.on_host(series, self._sent_hostname or _host(self._node))).sent += 1
        since = event.timestamp
        if event.eta is not None:
            since = max(since, eta_seconds(event.eta))
        key = hash(event.uuid)
        state = READY | RETRY if event.retries else READY
        waiting = self.waiting
        known = waiting.get(key)
        if known is not None:
            if known.state & RECEIVED and known.worker is not None:
                known.worker.reserved -= 1
        elif len(waiting) >= self._max_unread and self._no_room(series):
            return
        waiting[key] = Waiting(series, since, state)
        if self.held:
            held = self.held.pop(key, None)
            if held is not None:
                self._replay(held)

    def _received(self, event: ev.Received, worker: Worker) -> None:
        key = hash(event.uuid)
        task = self.waiting.get(key)
        if task is None:
            task = self._received_unannounced(key, event, worker)
            if task is None:
                return
        elif task.state & RECEIVED and task.worker is not None:
            # The worker that held it before gave it back without a word.
            task.worker.reserved -= 1
        task.state |= RECEIVED | RETRY if event.retries else RECEIVED
        task.worker = worker
        if event.eta is not None:
            task.since = max(task.since, eta_seconds(event.eta))
        worker.reserved += 1
        series = task.series
        (series.only or self._host(series, worker)).received += 1

    def _received_unannounced(self, key: int, event: ev.Received, worker: Worker) -> Waiting | None:
        """A message whose announcement is not at hand: a redelivery, or a task that nobody has announced yet."""
        run = self.running.pop(key, None)
        if run is not None:
            # Without a publication in between it is the same message once more, unless it is a retry whose client sends
            # no announcements.
            again = RETRY if event.retries and not run.state & RETRY else REDELIVERED
            return self._put(key, Waiting(run.series, self._wall, again))
        series = self._done.pop(key, None) or self._done_before.pop(key, None)
        if series is not None:
            return self._put(key, Waiting(series, self._wall, REDELIVERED | FINISHED))
        name = event.name if event.name is not None else UNKNOWN_NAME
        hopeful = key in self.held or not self.guess.waiting_is_vain(name)
        if hopeful and self._hold(key, name, event, worker):
            return None
        return self._put(key, Waiting(self._guessed(name, worker), self._wall, 0))

    def _started(self, event: ev.Started, worker: Worker) -> None:
        key = hash(event.uuid)
        task = self.waiting.pop(key, None)
        if task is None:
            task = self._started_unexpectedly(key, event, worker)
            if task is None:
                return
        worker.started += 1
        state = task.state
        if state & RECEIVED and task.worker is not None:
            task.worker.reserved -= 1
        series = task.series
        host = series.only or self._host(series, worker)
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
        else:
            series.attempts_first += 1
        self.running[key] = Running(series, self._now, state, worker)

    def _started_unexpectedly(self, key: int, event: ev.Started, worker: Worker) -> Waiting | None:
        run = self.running.pop(key, None)
        if run is not None:
            return Waiting(run.series, self._wall, REDELIVERED)
        series = self._done.pop(key, None) or self._done_before.pop(key, None)
        if series is not None:
            return Waiting(series, self._wall, REDELIVERED | FINISHED)
        if self._hold(key, None, event, worker):
            return None
        return Waiting(self._guessed(UNKNOWN_NAME, worker), self._wall, 0)

    def _ended(self, event: Any, worker: Worker) -> tuple[TaskSeries, HostSeries, bool] | None:
        """Take a task out of all books at its end: its series, its counters, and whether it is a task more.

        None when this end must not be counted: it was counted before, or it is held until the task is known.
        """
        key = hash(event.uuid)
        run = self.running.pop(key, None)
        if run is not None:
            series, state = run.series, run.state
        else:
            task = self.waiting.pop(key, None)
            if task is not None:
                series, state = task.series, task.state
                if state & RECEIVED and task.worker is not None:
                    task.worker.reserved -= 1
            else:
                if key in self._done or key in self._done_before:
                    self.duplicates += 1
                    return None
                if self._hold(key, None, event, worker):
                    return None
                series, state = self._guessed(UNKNOWN_NAME, worker), 0
        done = self._done
        done[key] = series
        if len(done) >= _DONE_LIMIT:
            self._done_before, self._done, self._done_since = done, {}, self._now
        return series, series.only or self._host(series, worker), not state & FINISHED

    def _succeeded(self, event: ev.Succeeded, worker: Worker) -> None:
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, new = ended
        host.succeeded += 1
        if event.runtime is not None:
            host.runtime.observe(event.runtime if event.runtime > 0.0 else 0.0)
        if new:
            series.finished_succeeded += 1

    def _failed(self, event: ev.Failed, worker: Worker) -> None:
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, new = ended
        error = exception_class(event.exception, event.traceback)
        host.failed += 1
        series.failures += 1
        self.book.failure(series, host, self._worker_hostname or worker.hostname, error)
        if error == WORKER_LOST:
            self.children_lost += 1
        if new:
            series.finished_failed += 1

    def _revoked(self, event: ev.Revoked, worker: Worker) -> None:
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, new = ended
        host.revoked += 1
        if event.expired:
            series.revocations_expired += 1
        elif event.terminated:
            series.revocations_terminated += 1
        else:
            series.revocations_revoked += 1
        if new:
            series.finished_revoked += 1

    def _rejected(self, event: ev.Rejected, worker: Worker) -> None:
        if event.requeue:
            self._back_to_queue(event, worker, counted=True)
            return
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, new = ended
        host.rejected += 1
        series.rejections_dropped += 1
        if new:
            series.finished_rejected += 1

    def _cancelled(self, event: ev.Cancelled, worker: Worker) -> None:
        self._back_to_queue(event, worker, counted=False)

    def _back_to_queue(self, event: ev.Rejected | ev.Cancelled, worker: Worker, *, counted: bool) -> None:
        """The message is in its queue again: it waits from now on, and its next start is a redelivery."""
        key = hash(event.uuid)
        run = self.running.pop(key, None)
        task = self.waiting.pop(key, None)
        if run is not None:
            series, state = run.series, run.state & FINISHED | REDELIVERED
        elif task is not None:
            series, state = task.series, task.state & (FINISHED | RETRY)
            if task.state & RECEIVED and task.worker is not None:
                task.worker.reserved -= 1
        else:
            if self._hold(key, None, event, worker):
                return
            series, state = self._guessed(UNKNOWN_NAME, worker), REDELIVERED
        if counted:
            (series.only or self._host(series, worker)).rejected += 1
            series.rejections_requeued += 1
            self.children_lost += run is not None
        self._put(key, Waiting(series, event.timestamp, state | READY))

    def _retried(self, event: ev.Retried, worker: Worker) -> None:
        key = hash(event.uuid)
        run = self.running.pop(key, None)
        if run is not None:
            series = run.series
        else:
            # The next attempt may have been announced, or even received, before this one's end was heard of.
            task = self.waiting.get(key)
            if task is not None:
                series = task.series
            else:
                if self._hold(key, None, event, worker):
                    return
                series = self._guessed(UNKNOWN_NAME, worker)
        (series.only or self._host(series, worker)).retried += 1
        self.book.retry(series, _retry_cause(event))
        if key not in self.waiting:
            # No announcement of the next attempt has come; its receipt will find the series here.
            self._put(key, Waiting(series, self._wall, RETRY))

    # -- books -------------------------------------------------------------------------------------------------------

    def _host(self, series: TaskSeries, worker: Worker) -> HostSeries:
        return self.book.on_host(series, self._worker_hostname or worker.hostname)

    def _put(self, key: int, task: Waiting) -> Waiting:
        if len(self.waiting) < self._max_tasks:
            self.waiting[key] = task
        else:
            self.untracked += 1
        return task

    def _no_room(self, series: TaskSeries) -> bool:
        """Above four fifths of the room, tasks that no worker has ever been seen to start get none of the rest.

        What does not fit is the newest, not the oldest: a queue is worked off from its old end.
        """
        never_started = not (series.attempts_first or series.attempts_retry or series.attempts_redelivered)
        if never_started or len(self.waiting) >= self._max_tasks:
            self.untracked += 1
            return True
        return False

    def _hold(self, key: int, name: str | None, event: ev.Event, worker: Worker) -> bool:
        """Keep an event until the task is announced; False when it must be counted now."""
        if self._releasing:
            return False
        held = self.held.get(key)
        if held is None:
            if len(self.held) >= _HELD_LIMIT or self._grace <= 0:
                return False
            held = self.held[key] = Held(name, self._now + self._grace)
        elif len(held.events) >= _HELD_EVENTS:
            return False
        if name is not None:
            held.name = name
        held.events.append((event, worker, self._now))
        return True

    def _replay(self, held: Held) -> None:
        now = self._now
        for event, worker, at in held.events:
            self._now = at
            self._handlers[event.__class__](event, worker)
        self._now = now

    def _guessed(self, name: str, worker: Worker) -> TaskSeries:
        queue, follows = self.guess.queue(name, worker)
        if not follows or name == UNKNOWN_NAME:
            self.unattributed += 1
        return self.book.get(name, queue)

    def release_held(self, now: float, *, everything: bool = False) -> None:
        """Count the events whose announcement has not come in time, on the queue that is most likely."""
        self._now = now
        due = []
        for key, held in self.held.items():
            if held.deadline > now and not everything:
                break  # in order of deadline
            due.append(key)
        for key in due:
            held = self.held.pop(key)
            name = held.name if held.name is not None else UNKNOWN_NAME
            if held.name is not None:
                self.guess.waited_in_vain(name)
            worker = held.events[0][1]
            if key not in self.waiting:
                self._put(key, Waiting(self._guessed(name, worker), self._wall, 0))
            self._releasing = True
            self._replay(held)
            self._releasing = False

    def worker_gone(self, worker: Worker) -> None:
        """Give up what the worker was running: it ends elsewhere or never, and must not look as if it still ran."""
        for key in [key for key, run in self.running.items() if run.worker is worker]:
            run = self.running.pop(key)
            self._put(key, Waiting(run.series, self._wall, run.state & FINISHED | REDELIVERED))

    def tick(self, now: float, wall: float) -> None:
        """Do what falls due with time: call a few times a second."""
        self.release_held(now)
        if now - self._done_since > _DONE_SECONDS:
            self._done_before, self._done, self._done_since = self._done, {}, now
        if now - self._swept > max(1.0, min(60.0, self._ttl / 10)):
            self._swept = now
            self._sweep(now, wall)

    def _sweep(self, now: float, wall: float) -> None:
        """Forget tasks that never came to an end, and count again what each worker holds."""
        for key in [key for key, run in self.running.items() if now - run.start > self._ttl]:
            del self.running[key]
        reserved: dict[Worker, int] = {}
        old = []
        for key, task in self.waiting.items():
            if wall - task.since > self._ttl:
                old.append(key)
            elif task.state & RECEIVED and task.worker is not None:
                reserved[task.worker] = reserved.get(task.worker, 0) + 1
        for key in old:
            del self.waiting[key]
        for worker in self.workers.workers.values():
            worker.reserved = reserved.get(worker, 0)

    def longest_running(self, now: float) -> dict[TaskSeries, float]:
        """The age in seconds of the longest task now running, for every series that has one."""
        oldest: dict[TaskSeries, float] = {}
        for run in list(self.running.values()):
            start = oldest.get(run.series)
            if start is None or run.start < start:
                oldest[run.series] = run.start
        return {series: max(now - start, 0.0) for series, start in oldest.items()}

    def published_at(self, task_id: str) -> float | None:
        """When the task was published or falls due, where its announcement was seen (seconds since the epoch)."""
        task = self.waiting.get(hash(task_id))
        return task.since if task is not None and task.state & READY else None


def _retry_cause(event: ev.Retried) -> str:
    """``retry()`` reports the exception that caused it; a bare ``retry()`` reports none."""
    return exception_class(event.exception, event.traceback)


def _host(node: str) -> str:
    return node.rpartition("@")[2]


def eta_seconds(text: str) -> float:
    """Return an ISO 8601 time as seconds since the epoch; 0 for what is none. A time without zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.timestamp()
    except (OverflowError, ValueError):
        return 0.0
