"""A Celery fleet as a model: tasks flow through queues and workers, one step a scrape, and leave counts behind.

Faults turn the knobs of the model while it runs; exposition.py says what its exporter would have shown.
Times are seconds since the run began.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

STEP = 15.0
HEARTBEAT_LOST_AFTER = 10.0
MAX_RETRIES = 3

RUNTIME_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
WAIT_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


@dataclass
class Histogram:
    """Cumulative counts by upper bound, with the sum of what was observed."""

    bounds: tuple[float, ...]
    counts: list[float] = field(default_factory=list)
    total: float = 0.0
    sum: float = 0.0

    def observe(self, value: float, times: float = 1.0) -> None:
        if not self.counts:
            self.counts = [0.0] * len(self.bounds)
        for index, bound in enumerate(self.bounds):
            if value <= bound:
                self.counts[index] += times
        self.total += times
        self.sum += value * times


@dataclass
class Task:
    """A kind of task: where it goes, how often it is sent (a second), how long it runs, how often it fails."""

    name: str
    queue: str
    rate: float
    seconds: float
    failing: float = 0.0
    retrying: float = 0.0
    exception: str = "ValueError"
    priority: str = "0"


@dataclass
class Worker:
    """A worker node: what it consumes, how many tasks at once, and in what state it is."""

    name: str
    queues: tuple[str, ...]
    concurrency: int
    state: str = "up"  # up | lost | stopped | catatonic (heartbeats, consumes nothing) | hung (runs, finishes nothing)
    since: float = 0.0
    events: bool = True
    processed: float = 0.0
    unseen: float = 0.0


@dataclass
class Waiting:
    """Some tasks of one kind that were sent together."""

    task: Task
    sent: float
    count: float
    retries: int = 0


@dataclass
class Fleet:
    """The model. `arrivals` multiplies every task's rate, as a function of time."""

    tasks: list[Task]
    workers: list[Worker]
    seed: int = 1
    arrivals: Callable[[float], float] = lambda _now: 1.0
    now: float = 0.0
    counters: dict[tuple[str, str, str, str], float] = field(default_factory=dict)  # (what, task, queue, detail)
    runtimes: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    waits: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    backlog: dict[str, deque[Waiting]] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)  # delivered and not acknowledged, beyond what runs
    held_since: dict[str, float] = field(default_factory=dict)
    stuck: dict[tuple[str, str], float] = field(default_factory=dict)  # (task, queue) -> since when one of them runs
    hung_since: dict[str, float] = field(default_factory=dict)
    starving: set[str] = field(default_factory=set)  # priorities that nothing takes
    slow: dict[str, float] = field(default_factory=dict)  # task name -> factor on its seconds
    extra: dict[str, float] = field(default_factory=dict)  # facts of the surroundings that a fault changes
    down: set[str] = field(default_factory=set)  # broker, exporter, beat, ...
    _debt: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        for task in self.tasks:
            self.backlog.setdefault(task.queue, deque())

    @property
    def queues(self) -> list[str]:
        return sorted(self.backlog)

    def send(self, task: Task, count: float) -> None:
        """Publishes `count` tasks of one kind now."""
        if count <= 0 or "broker" in self.down:
            return
        self.count("sent", task, count)
        self.backlog[task.queue].append(Waiting(task, self.now, count))

    def count(self, what: str, task: Task, amount: float, detail: str = "") -> None:
        """Adds to a counter of the task; `detail` is the exception, the reason or the kind."""
        key = (what, task.name, task.queue, detail)
        self.counters[key] = self.counters.get(key, 0.0) + amount

    def step(self) -> None:
        """One scrape's time passes: tasks arrive, start and end."""
        for task in self.tasks:
            expected = task.rate * self.arrivals(self.now) * STEP
            # Whole tasks, with what was rounded off carried to the next step.
            owed = expected * self.random.uniform(0.8, 1.2) + self._debt.get(task.name, 0.0)
            self._debt[task.name] = owed - int(owed)
            self.send(task, int(owed))
        for queue in self.queues:
            self._work(queue)
        self.now += STEP

    def consumers(self, queue: str) -> list[Worker]:
        """The workers that take tasks from the queue now."""
        return [w for w in self.workers if queue in w.queues and w.state in ("up", "hung")]

    def _work(self, queue: str) -> None:
        workers = self.consumers(queue)
        if "broker" in self.down:
            self.running[queue] = 0.0
            return
        # A worker on several queues shares its slots among them.
        busy = sum(w.concurrency / len(w.queues) for w in workers if w.state == "up")
        hung = sum(w.concurrency / len(w.queues) for w in workers if w.state == "hung")
        seconds_free = busy * STEP
        waiting, later, used = self.backlog[queue], deque[Waiting](), 0.0
        again: list[Waiting] = []
        while waiting and seconds_free > 1e-9:
            batch = waiting.popleft()
            if batch.task.priority in self.starving:
                later.append(batch)
                continue
            seconds = batch.task.seconds * self.slow.get(batch.task.name, 1.0)
            count = min(batch.count, seconds_free / seconds)
            seconds_free -= count * seconds
            used += count * seconds
            self._run(batch, count, seconds, workers, again)
            if batch.count - count > 1e-6:
                later.append(Waiting(batch.task, batch.sent, batch.count - count, batch.retries))
        self.backlog[queue] = deque([*later, *waiting, *again])
        self.running[queue] = used / STEP + hung

    def _run(self, batch: Waiting, count: float, seconds: float, workers: list[Worker], again: list[Waiting]) -> None:
        task = batch.task
        wait = max(self.now - batch.sent, 0.0) + self.random.uniform(0.01, 0.04)
        self.waits.setdefault((task.name, task.queue), Histogram(WAIT_BOUNDS)).observe(wait, count)
        self.count("received", task, count)
        self.count("started", task, count)
        self.count("attempts", task, count, "retry" if batch.retries else "first")
        exhausted = batch.retries >= MAX_RETRIES
        retried = 0.0 if exhausted else count * task.retrying
        failed = (count - retried) * (task.retrying if exhausted and task.retrying else task.failing)
        succeeded = count - retried - failed
        for worker in workers:
            share = count / len(workers)
            worker.processed += share
            worker.unseen += 0.0 if worker.events else share
        if retried:
            self.count("retried", task, retried, task.exception)
            self.count("sent", task, retried)
            again.append(Waiting(task, self.now, retried, batch.retries + 1))
        self.count("failed", task, failed, task.exception)
        self.count("succeeded", task, succeeded)
        spread = self.random.uniform(0.8, 1.25)
        self.runtimes.setdefault((task.name, task.queue), Histogram(RUNTIME_BOUNDS)).observe(
            seconds * spread, succeeded
        )

    def length(self, queue: str, priority: str | None = None) -> float:
        """How many tasks wait."""
        return sum(b.count for b in self.backlog[queue] if priority in (None, b.task.priority))

    def oldest(self, queue: str, priority: str | None = None) -> float | None:
        """The age of the oldest waiting task in seconds, None with none waiting."""
        sent = [b.sent for b in self.backlog[queue] if b.count > 0 and priority in (None, b.task.priority)]
        return self.now - min(sent) if sent else None
