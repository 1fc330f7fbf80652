"""What goes wrong in the simulated incidents: each function turns the knobs of a fleet for one step.

It is called before every step from the fault's start on, with `elapsed` seconds since then.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.bench.detection.fleet import STEP, Fleet, Task

Fault = Callable[[Fleet, float], None]


def workers_become(state: str, *prefixes: str, most: int = 99) -> Fault:
    """The workers whose names begin so change their state: lost, stopped, catatonic or hung."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed > 0:
            return
        chosen = [w for w in fleet.workers if not prefixes or w.name.startswith(prefixes)][:most]
        for worker in chosen:
            worker.state, worker.since = state, fleet.now
            for queue in worker.queues:
                if state == "hung":
                    fleet.hung_since[queue] = fleet.now

    return fault


def task_becomes(name: str, **fields: float | str) -> Fault:
    """A task's own numbers change: failing, retrying, seconds, rate, exception."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed == 0:
            for task in _named(fleet, name):
                for key, value in fields.items():
                    setattr(task, key, value)

    return fault


def slower(name: str, factor: float) -> Fault:
    """A task takes `factor` times as long."""

    def fault(fleet: Fleet, _elapsed: float) -> None:
        fleet.slow[name] = factor

    return fault


def burst(name: str, count: float) -> Fault:
    """So many tasks are published at once."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed == 0:
            for task in _named(fleet, name):
                fleet.send(task, count)

    return fault


def busier(factor: float) -> Fault:
    """Producers send `factor` times as much."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed == 0:
            before = fleet.arrivals
            fleet.arrivals = lambda now: before(now) * factor

    return fault


def unread_queue(queue: str) -> Fault:
    """A route is mistyped: tasks go to a queue that nobody reads."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed == 0:
            fleet.tasks.append(Task("orders.place", queue, rate=1.0, seconds=0.1))
            fleet.backlog[queue] = type(fleet.backlog["default"])()

    return fault


def counted(what: str, name: str, rate: float, detail: str, attempts: str = "") -> Fault:
    """Events of one kind come at `rate` a second: requeues, expiries, lost children."""

    def fault(fleet: Fleet, _elapsed: float) -> None:
        for task in _named(fleet, name):
            fleet.count(what, task, rate * STEP, detail)
            if attempts:
                fleet.count("started", task, rate * STEP)
                fleet.count("attempts", task, rate * STEP, attempts)

    return fault


def goes_down(*parts: str) -> Fault:
    """Parts are gone: broker, celery (the exporter), absent (its target), alertmanager, beat."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed == 0:
            fleet.down.update(parts)
            fleet.extra.setdefault("broker_gone", fleet.now)

    return fault


def fact(name: str, value: float) -> Fault:
    """A fact of the surroundings has this value from now on."""

    def fault(fleet: Fleet, _elapsed: float) -> None:
        fleet.extra[name] = value

    return fault


def fact_now(name: str) -> Fault:
    """Something stops: the time at which it did is kept."""

    def fault(fleet: Fleet, _elapsed: float) -> None:
        fleet.extra.setdefault(name, fleet.now)

    return fault


def grows(name: str, rate: float, start: float = 0.0) -> Fault:
    """A fact grows by `rate` a second."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        fleet.extra[name] = start + rate * (elapsed + STEP)

    return fault


def events_off(prefix: str) -> Fault:
    """A deployment runs without task events."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        for worker in fleet.workers:
            if worker.name.startswith(prefix) and elapsed == 0:
                worker.events = False

    return fault


def events_lossy(share: float) -> Fault:
    """A share of what workers did is never seen."""

    def fault(fleet: Fleet, _elapsed: float) -> None:
        for worker in fleet.workers:
            worker.unseen += share * STEP

    return fault


def hoards(queue: str, count: float) -> Fault:
    """Workers hold so many delivered tasks beyond those that run; what waits is empty."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        fleet.held[queue] = count
        fleet.backlog[queue].clear()
        if elapsed == 0:
            fleet.held_since[queue] = fleet.now

    return fault


def unacknowledged(queue: str, age: float) -> Fault:
    """One delivered message is `age` seconds old already, and gets no younger."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        fleet.held[queue] = 1.0
        if elapsed == 0:
            fleet.held_since[queue] = fleet.now - age

    return fault


def stuck(name: str) -> Fault:
    """One execution never ends; the others go on."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed == 0:
            for task in _named(fleet, name):
                fleet.stuck[task.name, task.queue] = fleet.now

    return fault


def starves(priority: str) -> Fault:
    """Nothing of one priority is taken."""

    def fault(fleet: Fleet, _elapsed: float) -> None:
        fleet.starving.add(priority)

    return fault


def silent(*names: str) -> Fault:
    """Producers of these tasks send nothing."""

    def fault(fleet: Fleet, _elapsed: float) -> None:
        for name in names:
            for task in _named(fleet, name):
                task.rate = 0.0

    return fault


def restarts_exporter() -> Fault:
    """The exporter's counters begin again at nothing."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        if elapsed == 0:
            for key in fleet.counters:
                fleet.counters[key] = 0.0
            fleet.runtimes.clear()
            fleet.waits.clear()
            for worker in fleet.workers:
                worker.processed = worker.unseen = 0.0

    return fault


def all_of(*faults: Fault) -> Fault:
    """Several at once."""

    def fault(fleet: Fleet, elapsed: float) -> None:
        for one in faults:
            one(fleet, elapsed)

    return fault


def _named(fleet: Fleet, name: str) -> list[Task]:
    return [task for task in fleet.tasks if task.name == name]
