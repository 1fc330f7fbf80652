"""What all handlers of task events work on, and where a task goes of which too little is known."""

from __future__ import annotations

from collections.abc import Callable

from exporter import events as ev
from exporter.attribution import UNKNOWN_NAME, QueueGuess
from exporter.held import Held
from exporter.task_memory import TaskMemory
from exporter.task_series import HostSeries, SeriesBook, TaskSeries
from exporter.workers import Worker


class TaskBooks:
    """The series, the memory of unfinished tasks, and the event in hand's time and sender.

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
        self.sent_hostname = sent_hostname
        self.worker_hostname = worker_hostname
        self.queue_seen = queue_seen
        self.unattributed = 0
        self.duplicates = 0
        self.negative_waits = 0
        self.children_lost = 0
        self.now = 0.0
        self.wall = 0.0
        self.node = ""
        self.releasing = False

    def host(self, series: TaskSeries, worker: Worker) -> HostSeries:
        """The counters of ``series`` for what happened on ``worker``."""
        return series.only or self.book.on_host(series, self.worker_hostname or worker.hostname)

    def guessed(self, name: str, worker: Worker) -> TaskSeries:
        """The series of a task whose queue nobody has told."""
        queue, follows = self.guess.queue(name, worker)
        if not follows or name == UNKNOWN_NAME:
            self.unattributed += 1
        return self.book.get(name, queue)

    def hold(self, key: int, name: str | None, event: ev.Event, worker: Worker) -> bool:
        """Keep an event until its task is announced; False when it must be counted now."""
        return not self.releasing and self.held.hold(key, name, event, worker, self.now)
