"""Follows published tasks to their results without holding up the publishers."""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gevent

log = logging.getLogger("loadgen")

TICK = 0.05  # seconds between two looks for results that are due
BATCH = 500  # results asked for at once
# A task is asked for again after a tenth of its age: often while it is young, rarely in a backlog.
SHARE_OF_AGE, PAUSE = 0.1, (0.05, 2.0)


@dataclass(frozen=True)
class Outcome:
    """How a task ended: `error` is empty for a success; `then` is the id of the task to follow next, if any."""

    error: str = ""
    then: str = ""
    then_name: str = ""


class TaskFailed(Exception):  # noqa: N818 - shown by this name in locust's tables
    """A task ended otherwise than with success."""


class NoResult(Exception):  # noqa: N818
    """A task had no result in time."""


@dataclass(frozen=True)
class Followed:
    """A task that is waited for; `started` is on the monotonic clock, in seconds."""

    task_id: str
    name: str
    started: float


Lookup = Callable[[Sequence[str]], Mapping[str, Outcome]]
Report = Callable[[str, float, Exception | None], None]


class Follower:
    """Asks for the results of many tasks in few calls, from one greenlet.

    `lookup` gives the outcomes of those task ids that have ended. `report` is told a name, the seconds that it
    took and what went wrong. A task not ended after `timeout` seconds is reported and forgotten.
    """

    def __init__(self, lookup: Lookup, report: Report, timeout: float, limit: int) -> None:
        self._lookup = lookup
        self._report = report
        self._timeout = timeout
        self._limit = limit
        self._due: list[tuple[float, int, Followed]] = []
        self._order = itertools.count()
        self._asked = 0
        self._failing = False
        self.not_followed = 0

    @property
    def waiting(self) -> int:
        """Tasks whose results are awaited."""
        return len(self._due) + self._asked

    def follow(self, task_id: str, name: str, started: float) -> None:
        """Wait for a task, unless as many as the limit are waited for already."""
        if self.waiting >= self._limit:
            self.not_followed += 1
            return
        self._again(Followed(task_id, name, started), time.monotonic())

    def look(self, now: float) -> None:
        """Ask once for what is due at `now`, on the monotonic clock."""
        due: list[Followed] = []
        while self._due and self._due[0][0] <= now and len(due) < BATCH:
            due.append(heapq.heappop(self._due)[2])
        if not due:
            return
        outcomes: Mapping[str, Outcome] = {}
        self._asked = len(due)  # other greenlets run while the answer is on its way
        try:
            outcomes = self._lookup([task.task_id for task in due])
            self._failing = False
        except Exception as error:
            # Whatever the store of results says: the tasks stay awaited, and the timeout bounds that.
            if not self._failing:
                log.warning("cannot read results: %s: %s", type(error).__name__, error)
            self._failing = True
        self._asked = 0
        for task in due:
            self._settle(task, outcomes.get(task.task_id), now)

    def run(self) -> None:
        """Look for results until killed."""
        while True:
            self.look(time.monotonic())
            gevent.sleep(TICK)

    def drain(self, seconds: float) -> int:
        """Wait until nothing is awaited, at most `seconds`; returns how many still are."""
        deadline = time.monotonic() + seconds
        while self.waiting and time.monotonic() < deadline:
            gevent.sleep(TICK)
        return self.waiting

    def _settle(self, task: Followed, outcome: Outcome | None, now: float) -> None:
        age = now - task.started
        if outcome is None:
            if age < self._timeout:
                self._again(task, now)
            else:
                self._report(task.name, age, NoResult(f"within {self._timeout:g} s"))
            return
        self._report(task.name, age, TaskFailed(outcome.error) if outcome.error else None)
        if outcome.then and not outcome.error:
            self._again(Followed(outcome.then, outcome.then_name, task.started), now)

    def _again(self, task: Followed, now: float) -> None:
        low, high = PAUSE
        pause = min(high, max(low, (now - task.started) * SHARE_OF_AGE))
        heapq.heappush(self._due, (now + pause, next(self._order), task))
