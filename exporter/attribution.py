"""Which queue a task belongs to when no client has said so, and what is remembered of tasks' names for that."""

from __future__ import annotations

from exporter.workers import Worker

UNKNOWN_NAME = "unknown"
"""The ``name`` of a task of which only events without a name were seen (the exporter started in the middle)."""

_MAX_NAMES = 20_000
_MAX_DOUBTS = 100


class _Name:
    __slots__ = ("announced", "doubts", "queues")

    def __init__(self) -> None:
        # None until it is known whether the clients that send this task also send the event for it.
        self.announced: bool | None = None
        self.doubts = 0
        self.queues: set[str] = set()


class QueueGuess:
    """Remembers on which queues each task name was seen, by the clients' own word."""

    def __init__(self, default_queue: str) -> None:
        self._default = default_queue
        self._names: dict[str, _Name] = {}

    def sent(self, name: str, queue: str) -> None:
        """A client said that it sent ``name`` to ``queue``."""
        known = self._names.get(name)
        if known is None:
            if len(self._names) >= _MAX_NAMES:
                return
            known = self._names[name] = _Name()
        known.announced = True
        if len(known.queues) < 8:
            known.queues.add(queue)

    def waiting_is_vain(self, name: str | None) -> bool:
        """Whether no client announces ``name``, as far as is known: then there is no word to wait for.

        Called for each task that came unannounced: after a number of them without a single announcement it is clear.
        """
        known = self._names.get(name) if name is not None else None
        if known is None:
            return False
        if known.announced is None:
            known.doubts += 1
            if known.doubts > _MAX_DOUBTS:
                known.announced = False
        return known.announced is False

    def came_unannounced(self, name: str) -> None:
        """A task of that name came before any announcement of one."""
        if name not in self._names and len(self._names) < _MAX_NAMES:
            self._names[name] = _Name()

    def waited_in_vain(self, name: str) -> None:
        """A task of that name came and was never announced."""
        known = self._names.get(name)
        if known is not None and known.announced is None:
            known.announced = False

    def queue(self, name: str | None, worker: Worker | None) -> tuple[str, bool]:
        """Return the most likely queue, and whether it follows from what is known (rather than being the default).

        It follows where the task has only ever gone to one queue, where its worker reads only one, or where just one
        queue is both.
        """
        known = self._names.get(name) if name is not None else None
        seen = known.queues if known is not None else set()
        if len(seen) == 1:
            return next(iter(seen)), True
        read = set(worker.queues or ()) if worker is not None else set()
        both = seen & read if seen and read else read
        if len(both) == 1:
            return both.pop(), True
        return self._default, False
