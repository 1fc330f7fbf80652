"""What is remembered of unfinished tasks, in as few bytes as possible and within limits of number and time.

- ``waiting``: announced or received, not started.
- ``running``: started.
- ``done``: ended a moment ago; a second end is a duplicate, a second receipt a redelivery.

Task ids are kept as 64-bit hashes. One thread changes these books; the scrape only reads them.
"""

from __future__ import annotations

from itertools import islice

import msgspec

from exporter.task_series import TaskSeries
from exporter.workers import Worker, WorkerTable

READY = 1
"""``since`` is the time at which the task could have started."""
RECEIVED = 2
RETRY = 4
REDELIVERED = 8
FINISHED = 16
"""It has ended once already, so it is not a task more."""
OVERTAKEN = 32
"""The start of this attempt is still to be told of, and its next attempt has been announced: it is in ``ahead``."""

_AHEAD_LIMIT = 1000
_DONE_LIMIT = 20_000
_DONE_SECONDS = 60.0


class Task(msgspec.Struct, gc=False):
    """An unfinished task.

    While it waits, ``since`` is the later of its publication and its ETA (seconds since the epoch) with :data:`READY`,
    else when this record was made. While it runs, ``since`` is its start on the exporter's steady clock.
    """

    series: TaskSeries
    since: float
    state: int
    worker: Worker | None = None


class TaskMemory:
    """The books of unfinished tasks."""

    def __init__(self, *, max_tasks: int, ttl: float) -> None:
        self._max_tasks = max_tasks
        self._max_unread = max_tasks * 4 // 5
        self._ttl = ttl
        self.waiting: dict[int, Task] = {}
        self.ahead: dict[int, Task] = {}
        self.running: dict[int, Task] = {}
        self.done: dict[int, TaskSeries] = {}
        self.done_before: dict[int, TaskSeries] = {}
        self._done_since = 0.0
        self._swept = 0.0
        self.untracked = 0

    def put(self, key: int, task: Task) -> Task:
        """Remember a waiting task if there is room."""
        if len(self.waiting) < self._max_tasks:
            self.waiting[key] = task
        else:
            self.untracked += 1
        return task

    def overtake(self, key: int, known: Task, following: Task) -> None:
        """Lay an announced attempt aside until the one before it, ``known``, is told to have started."""
        if len(self.ahead) >= _AHEAD_LIMIT:
            self.ahead.clear()  # starts that were lost; those after them count as first attempts or redeliveries
        known.state |= OVERTAKEN
        self.ahead[key] = following

    def catch_up(self, key: int) -> Task | None:
        """Let the attempt that was laid aside wait in its turn, if it is still there; returns it."""
        following = self.ahead.pop(key, None)
        return following and self.put(key, following)

    @property
    def crowded(self) -> bool:
        """Whether :meth:`no_room` has to be asked."""
        return len(self.waiting) >= self._max_unread

    def no_room(self, series: TaskSeries) -> bool:
        """Above four fifths of the room, tasks that no worker has ever been seen to start get none of the rest.

        What does not fit is the newest, not the oldest: a queue is worked off from its old end.
        """
        never_started = not any(host.started for host in series.hosts.values())
        if never_started or len(self.waiting) >= self._max_tasks:
            self.untracked += 1
            return True
        return False

    def take_done(self, key: int) -> TaskSeries | None:
        """Return the series of a task that has ended lately, and forget that it has."""
        return self.done.pop(key, None) or self.done_before.pop(key, None)

    def release(self, task: Task) -> None:
        """Its worker does not hold this waiting task any longer."""
        if task.state & RECEIVED and task.worker is not None:
            task.worker.reserved -= 1

    def worker_gone(self, worker: Worker, wall: float) -> None:
        """Give up what the worker was running: it ends elsewhere or never, and must not look as if it still ran."""
        for key in [key for key, task in self.running.items() if task.worker is worker]:
            task = self.running.pop(key)
            self.put(key, Task(task.series, wall, task.state & FINISHED | REDELIVERED))

    def tick(self, now: float, wall: float, workers: WorkerTable) -> None:
        """Do what falls due with time."""
        if now - self._done_since > _DONE_SECONDS:
            self._rotate_done(now)
        if now - self._swept > max(1.0, min(60.0, self._ttl / 10)):
            self._swept = now
            self._sweep(now, wall, workers)

    @property
    def overfull(self) -> bool:
        """Whether :meth:`make_room` is due."""
        return len(self.done) >= _DONE_LIMIT or len(self.running) > self._max_tasks

    def make_room(self, now: float) -> None:
        """Forget what ended longest ago, and the oldest of too many starts."""
        if len(self.done) >= _DONE_LIMIT:
            self._rotate_done(now)
        too_many = len(self.running) - self._max_tasks
        if too_many > 0:
            # Some more than has to be, so that this is not due again at once.
            for key in list(islice(self.running, too_many + self._max_tasks // 100)):
                del self.running[key]
                self.untracked += 1

    def _rotate_done(self, now: float) -> None:
        self.done_before, self.done, self._done_since = self.done, {}, now

    def _sweep(self, now: float, wall: float, workers: WorkerTable) -> None:
        """Forget tasks that never came to an end, and count again what each worker holds."""
        for key in [key for key, task in self.running.items() if now - task.since > self._ttl]:
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
        for worker in workers.workers.values():
            worker.reserved = reserved.get(worker, 0)

    def longest_running(self, now: float) -> dict[TaskSeries, float]:
        """The age in seconds of the longest task now running, for every series that has one."""
        oldest: dict[TaskSeries, float] = {}
        for task in list(self.running.values()):
            start = oldest.get(task.series)
            if start is None or task.since < start:
                oldest[task.series] = task.since
        return {series: max(now - start, 0.0) for series, start in oldest.items()}

    def published_at(self, task_id: str) -> float | None:
        """When the task was published or falls due, where its announcement was seen (seconds since the epoch)."""
        task = self.waiting.get(hash(task_id))
        return task.since if task is not None and task.state & READY else None
