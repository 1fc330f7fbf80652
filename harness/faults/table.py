"""The faults by name: a sentence and the parameters of each. What they do is in the modules beside this one."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import BadInputError


class FaultError(BadInputError):
    """A fault that does not exist, a parameter that it does not take, or a stack that it cannot be done to."""


@dataclass(frozen=True)
class Parameter:
    """One thing to choose about a fault. The default's type is the parameter's type."""

    default: str | int | float
    meaning: str


@dataclass(frozen=True)
class Fault:
    """What a fault is called, what it does in a sentence, and what can be chosen about it."""

    name: str
    sentence: str
    parameters: dict[str, Parameter] = field(default_factory=dict)


_QUEUE = Parameter("default", "the queue")
_SCOPE = Parameter("queue:default", "what is hit: task:<name>, queue:<name> or all")
_WORKER = Parameter("worker", "the worker: a service, or the name of one that the harness started")
_WORKERS = Parameter("worker", "the worker, or several with commas between them")


def _table(*faults: Fault) -> dict[str, Fault]:
    return {fault.name: fault for fault in faults}


NAMES: dict[str, Fault] = _table(
    Fault(
        "backlog",
        "More tasks arrive at once than the workers can finish in time; healing lets them drain.",
        {
            "queue": _QUEUE,
            "size": Parameter(600, "tasks published at once"),
            "seconds": Parameter(2.0, "how long each of the queue's tasks takes until healed"),
        },
    ),
    Fault(
        "slow",
        "Tasks take longer than they should.",
        {"scope": _SCOPE, "seconds": Parameter(20.0, "seconds added to each task")},
    ),
    Fault(
        "fail",
        "Tasks end with an exception.",
        {
            "scope": _SCOPE,
            "rate": Parameter(0.5, "the fraction of tasks that fail, 0 to 1"),
            "exception": Parameter("RuntimeError", "the class of the exception"),
        },
    ),
    Fault(
        "retry-storm",
        "Tasks retry again and again, so that nothing fails and little gets done.",
        {"scope": _SCOPE, "rate": Parameter(1.0, "the fraction of attempts that ask for a retry, 0 to 1")},
    ),
    Fault("hang", "Tasks start and never end, until every slot of the pool is taken.", {"scope": _SCOPE}),
    Fault("kill-worker", "A worker is killed outright: it says no goodbye.", {"worker": _WORKERS}),
    Fault(
        "freeze-worker",
        "A worker stands still: its process is there, its connections are open, and nothing answers.",
        {"worker": _WORKER},
    ),
    Fault(
        "kill-child",
        "Pool processes are killed while they run a task, as the kernel does when memory runs out.",
        {"scope": _SCOPE, "worker": Parameter("", "kill one child of this worker once, instead of one for each task")},
    ),
    Fault("stop-workers", "Every worker of the stack is stopped in good order.", {}),
    Fault("broker-down", "Redis is gone.", {}),
    Fault("broker-full", "Redis has no memory left: it refuses whatever is sent, and serves what is asked.", {}),
    Fault("redis-restart", "Redis is killed and comes back at once, with what it had written down.", {}),
    Fault("exporter-down", "The exporter is gone: the fleet is fine and nobody can see it.", {}),
    Fault(
        "cardinality",
        "Somebody builds task names from data: thousands of names that are each seen once.",
        {"names": Parameter(20_000, "distinct names"), "queue": Parameter("invented", "the queue that they name")},
    ),
    Fault("beat-down", "The scheduler is gone.", {}),
    Fault("beat-silent", "The scheduler is frozen: its process is there, its port is open, and it sends nothing.", {}),
    Fault(
        "poison",
        "Tasks kill every process that runs them, and go back to their queue each time.",
        {"queue": _QUEUE, "size": Parameter(1, "tasks")},
    ),
    Fault(
        "unread-queue",
        "Tasks are sent to a queue that no worker reads, as after a typing error in a route.",
        {"queue": Parameter("defualt", "the queue that nobody reads"), "size": Parameter(50, "tasks")},
    ),
    Fault(
        "expired",
        "Tasks expire before a worker takes them: they are dropped, and nothing fails.",
        {"queue": _QUEUE, "size": Parameter(50, "tasks")},
    ),
    Fault(
        "starve",
        "A stream of urgent tasks keeps the others of the same queue waiting for ever.",
        {
            "queue": _QUEUE,
            "size": Parameter(400, "urgent tasks that stay ahead"),
            "waiting": Parameter(5, "tasks that wait"),
        },
    ),
    Fault(
        "hoard",
        "A worker holds hundreds of tasks that it cannot start; the queue looks empty.",
        {
            "queue": _QUEUE,
            "size": Parameter(2000, "tasks held"),
            "seconds": Parameter(1200.0, "how far in the future they are due; they run then, healed or not"),
        },
    ),
    Fault(
        "events-off",
        "A worker is deployed that sends no task events: what it runs is unseen.",
        {"queue": _QUEUE, "worker": Parameter("unseen", "the name of that worker")},
    ),
    Fault(
        "catatonic",
        "A worker sends heartbeats, is listed as a consumer, and starts nothing.",
        {"worker": _WORKER, "queue": _QUEUE},
    ),
)
