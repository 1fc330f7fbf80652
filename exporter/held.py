"""Events of tasks that have not been announced yet.

Clients publish the message first and its announcement second, so a fast worker's events may be heard first. They wait
here for a moment; what is not announced by then is counted as well as can be.
"""

from __future__ import annotations

from exporter import events as ev
from exporter.workers import Worker

_MAX_TASKS = 50_000
_MAX_EVENTS = 8


class HeldTask:
    """The events so far, each with its worker and time of receipt."""

    __slots__ = ("deadline", "events", "name")

    def __init__(self, name: str | None, deadline: float) -> None:
        self.name = name
        self.deadline = deadline
        self.events: list[tuple[ev.Event, Worker, float]] = []


class Held:
    """All of them, in order of their deadlines."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self.tasks: dict[int, HeldTask] = {}

    def hold(self, key: int, name: str | None, event: ev.Event, worker: Worker, now: float) -> bool:
        """Keep an event; False when there is no room, so that it must be counted now."""
        held = self.tasks.get(key)
        if held is None:
            if len(self.tasks) >= _MAX_TASKS or self._grace <= 0:
                return False
            held = self.tasks[key] = HeldTask(name, now + self._grace)
        elif len(held.events) >= _MAX_EVENTS:
            return False
        if name is not None:
            held.name = name
        held.events.append((event, worker, now))
        return True

    def due(self, now: float) -> list[tuple[int, HeldTask]]:
        """Take out those whose time is up."""
        found = []
        for key, held in self.tasks.items():
            if held.deadline > now:
                break
            found.append((key, held))
        for key, _ in found:
            del self.tasks[key]
        return found
