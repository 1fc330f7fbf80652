"""The incidents that are tried on a running stack: a row each. A new alert needs a row here, or a reason in NOT_HERE.

Production minutes are those of the rules as written: the window that has to fill, plus `for`. The stack under test
runs on a clock that divides all of them; objectives are numbers and stay, so every queue here has its own,
in `LIMITS`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.producer import TASK
from workers.catalogue import CANARY, CONFIRM, FOLLOW_UP


@dataclass(frozen=True)
class Crew:
    """The worker of a scenario. Threads where no process has to die: one process is started sooner than three."""

    pool: str = "threads"
    concurrency: int = 2
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feed:
    """What a scenario's producer sends all the time."""

    per_second: float = 2.0
    #: Taken in turn: name and arguments, an order where these are left out.
    tasks: tuple[tuple[str, tuple[Any, ...] | None], ...] = ((TASK, None),)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One incident. In `params` and `labels`, {queue} is the scenario's queue and {worker}, {node} its worker."""

    name: str
    sentence: str
    fault: str
    alert: str
    severity: str
    labels: dict[str, str]
    #: From the fault's start to the page, in production.
    production_minutes: float
    params: dict[str, Any] = field(default_factory=dict)
    crew: Crew | None = Crew()
    feed: Feed | None = Feed()
    #: Alerts that the same fault raises besides, none of them critical: name -> labels.
    also: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Alerts that fire too and are held back, because the page explains them: name -> labels.
    inhibited: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Alerts that a worse rule set would raise for this fault, and that must not arrive for this queue or worker.
    silent: tuple[str, ...] = ()
    #: The scenario that has to be over before, because both raise the same alert.
    after: str = ""
    #: What Prometheus must have seen before the fault, at production durations.
    baseline: str = ""
    #: Disturbs the whole stack, so it runs alone.
    alone: bool = False
    #: Seconds on the test clock; several times what is usual.
    within: float = 120.0
    clears_within: float = 180.0

    @property
    def queue(self) -> str:
        """The queue that nobody else uses."""
        return f"trial-{self.name}"

    @property
    def worker(self) -> str:
        """The name of its worker."""
        return f"crew-{self.name}"


_QUEUE = {"queue": "{queue}"}
_TASK = {"queue": "{queue}", "task": TASK}
_WORKER = {"worker": "{node}"}

#: Objectives of the trial queues and of two tasks, as limits.yml has them for every queue that somebody tuned.
LIMITS: tuple[tuple[str, dict[str, str], float], ...] = (
    ("limit:queue_length", {"queue": "trial-backlog"}, 50),
    ("limit:queue_drain_seconds", {"queue": "trial-backlog"}, 30),
    ("limit:queue_wait_seconds", {"queue": "trial-slow-queue"}, 5),
    ("limit:queue_wait_seconds", {"queue": "trial-hang"}, 5),
    ("limit:queue_wait_seconds", {"queue": "trial-starve"}, 10),
    ("limit:queue_eta_messages", {"queue": "trial-hoard"}, 50),
    ("limit:task_runtime_seconds", {"task": FOLLOW_UP.name}, 1),
    ("limit:task_running_seconds", {"task": CANARY.name}, 15),
)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "backlog",
        "600 tasks arrive at once and take long",
        "backlog",
        "LongTaskQueue",
        "critical",
        _QUEUE,
        production_minutes=10.25,
        params={"queue": "{queue}", "size": 300, "seconds": 1.0},
        also={"PoolSaturated": _WORKER},
        inhibited={"BacklogNotDraining": _QUEUE},
        silent=("QueueStalled", "OldestTaskTooOld", "QueueNoConsumers"),
    ),
    Scenario(
        "slow-queue",
        "tasks take longer than they arrive",
        "slow",
        "OldestTaskTooOld",
        "critical",
        _QUEUE,
        production_minutes=2.25,
        params={"scope": "queue:{queue}", "seconds": 3.0},
        inhibited={"QueueWaitFastBurn": _QUEUE},
        silent=("QueueStalled", "QueueNoConsumers", "TaskFailing"),
    ),
    Scenario(
        "fail",
        "one task fails among many healthy ones",
        "fail",
        "TaskFailing",
        "critical",
        _TASK,
        production_minutes=3,
        params={"scope": "queue:{queue}", "rate": 1.0, "exception": "ValueError"},
        inhibited={"TaskFailuresHigh": _TASK},
        silent=("QueueStalled", "RetryStorm", "PoisonPill"),
    ),
    Scenario(
        "fail-some",
        "a fifth of the runs of one task fail",
        "fail",
        "TaskFailuresHigh",
        "warning",
        {"queue": "{queue}", "task": CONFIRM.name},
        production_minutes=6,
        params={"scope": "queue:{queue}", "rate": 0.2, "exception": "ValueError"},
        after="fail",
        feed=Feed(per_second=4.0, tasks=((CONFIRM.name, None),)),
        silent=("TaskFailing",),
    ),
    Scenario(
        "shared-dependency",
        "what several tasks need is away, and all of them fail",
        "fail",
        "ManyTasksFailing",
        "critical",
        {"component": "task", "severity": "critical"},
        production_minutes=2,
        params={"scope": "queue:{queue}", "rate": 1.0, "exception": "ValueError"},
        feed=Feed(
            per_second=8.0,
            tasks=((TASK, None), (CONFIRM.name, None), (CANARY.name, ()), (FOLLOW_UP.name, ("trial",))),
        ),
        inhibited={"TaskFailing": _TASK, "HighTaskFailureRate": {}},
        silent=("QueueStalled", "PoisonPill"),
        after="fail-some",
    ),
    Scenario(
        "retry-storm",
        "a dependency is away: everything retries and nothing fails",
        "retry-storm",
        "RetryStorm",
        "warning",
        _TASK,
        production_minutes=6,
        params={"scope": "queue:{queue}", "rate": 1.0},
        silent=("TaskFailing", "TaskFailuresHigh"),
    ),
    Scenario(
        "slow-task",
        "one task takes three times as long as it may",
        "slow",
        "SlowTaskExecution",
        "warning",
        {"queue": "{queue}", "task": FOLLOW_UP.name},
        production_minutes=11,
        params={"scope": "queue:{queue}", "seconds": 3.0},
        crew=Crew(concurrency=8),
        feed=Feed(per_second=1.0, tasks=((FOLLOW_UP.name, ("trial",)),)),
        silent=("OldestTaskTooOld", "TaskStuck"),
    ),
    Scenario(
        "hang",
        "every slot of the pool waits for something that never comes",
        "hang",
        "OldestTaskTooOld",
        "critical",
        _QUEUE,
        production_minutes=2.25,
        params={"scope": "queue:{queue}"},
        feed=Feed(tasks=((CANARY.name, ()),)),
        also={"TaskStuck": {"queue": "{queue}", "task": CANARY.name}},
        silent=("QueueNoConsumers", "LongTaskQueue"),
    ),
    Scenario(
        "catatonic",
        "a worker sends heartbeats, is listed as a consumer, and starts nothing",
        "catatonic",
        "QueueStalled",
        "critical",
        _QUEUE,
        production_minutes=6.25,
        params={"worker": "{worker}", "queue": "{queue}"},
        silent=("QueueNoConsumers", "WorkerLost"),
    ),
    Scenario(
        "poison",
        "a message kills every process that runs it, and returns",
        "poison",
        "PoisonPill",
        "critical",
        _TASK,
        production_minutes=1.5,
        # The limit counts requeues and does not shrink with the clock: several pills make enough of them.
        params={"queue": "{queue}", "size": 4},
        # The sample's own guard would set the message aside after three deliveries.
        crew=Crew(pool="prefork", concurrency=4, environment={"REDELIVERY_LIMIT": "0"}),
        feed=None,
        inhibited={"WorkerChildrenLost": {}},
        silent=("TaskFailing", "WorkerLost", "QueueNoConsumers"),
    ),
    Scenario(
        "kill-worker",
        "a worker is killed and says no goodbye",
        "kill-worker",
        "WorkerLost",
        "warning",
        _WORKER,
        production_minutes=1.5,
        params={"worker": "{worker}"},
        # Nothing is waiting: who is gone here is missed by nobody yet.
        feed=None,
        silent=("NoWorkersOnline", "QueueNoConsumers", "FleetShrunk"),
    ),
    Scenario(
        "events-off",
        "a worker was deployed that sends no task events",
        "events-off",
        "WorkerTaskEventsOff",
        "warning",
        _WORKER,
        production_minutes=6,
        params={"worker": "unseen", "queue": "{queue}"},
        also={"ExporterMissesTasks": _QUEUE},
        silent=("QueueStalled", "WorkerLost", "EventStreamSilent"),
    ),
    Scenario(
        "unread-queue",
        "tasks go to a queue that no worker reads",
        "unread-queue",
        "QueueNoConsumers",
        "critical",
        _QUEUE,
        production_minutes=2.5,
        params={"queue": "{queue}"},
        crew=None,
        feed=None,
        silent=("QueueStalled", "OldestTaskTooOld", "LongTaskQueue"),
    ),
    Scenario(
        "expired",
        "tasks expire before they run",
        "expired",
        "TasksExpired",
        "warning",
        _TASK,
        production_minutes=1.5,
        params={"queue": "{queue}"},
        silent=("TaskFailing", "TaskFailuresHigh"),
    ),
    Scenario(
        "starve",
        "urgent tasks leave no turn to the others of the queue",
        "starve",
        "OldestTaskTooOld",
        "critical",
        _QUEUE,
        production_minutes=2.25,
        params={"queue": "{queue}", "size": 20, "waiting": 5},
        crew=Crew(concurrency=4),
        feed=Feed(per_second=4.0, options={"priority": 0}),
        silent=("QueueStalled", "LongTaskQueue", "QueueNoConsumers"),
    ),
    Scenario(
        "hoard",
        "a worker holds a hundred tasks for later, and the queue looks empty",
        "hoard",
        "EtaTasksHoarded",
        "warning",
        _QUEUE,
        production_minutes=10.5,
        params={"queue": "{queue}", "size": 100, "seconds": 75.0},
        silent=("LongTaskQueue", "OldestTaskTooOld", "PrefetchHoarding"),
    ),
    Scenario(
        "prefetch",
        "a worker takes more tasks than it can start",
        "backlog",
        "PrefetchHoarding",
        "warning",
        _QUEUE,
        production_minutes=10.5,
        params={"queue": "{queue}", "size": 70, "seconds": 4.0},
        crew=Crew(arguments=("--prefetch-multiplier=40",)),
        feed=None,
        silent=("LongTaskQueue", "QueueStalled", "EtaTasksHoarded"),
    ),
    Scenario(
        "beat-down",
        "the scheduler is gone",
        "beat-down",
        "BeatDead",
        "critical",
        {"component": "schedule"},
        production_minutes=2.25,
        crew=None,
        feed=None,
        baseline="beat_last_tick_timestamp_seconds",
        also={"TargetMissing": {"job": "beat"}},
    ),
    Scenario(
        "beat-silent",
        "the scheduler is frozen: there, and sending nothing",
        "beat-silent",
        "BeatDead",
        "critical",
        {"component": "schedule"},
        production_minutes=2.25,
        crew=None,
        feed=None,
        after="beat-down",
        baseline='up{job="beat"} == 1',
        also={"TargetDown": {"job": "beat"}},
    ),
    Scenario(
        "freeze-worker",
        "a worker's machine stands still: its connections are open and nothing answers",
        "freeze-worker",
        "WorkerLost",
        "warning",
        _WORKER,
        production_minutes=1.5,
        params={"worker": "{worker}"},
        feed=None,
        also={"TargetDown": {"job": "worker"}},
        silent=("NoWorkersOnline", "QueueNoConsumers"),
    ),
    Scenario(
        "time-limit",
        "a run now and then hangs until the hard time limit kills it",
        "hang",
        "HardTimeLimitHit",
        "warning",
        {"queue": "{queue}", "task": CANARY.name},
        production_minutes=1.5,
        params={"scope": "queue:{queue}"},
        crew=Crew(pool="prefork", arguments=("--time-limit=3",)),
        feed=Feed(per_second=0.1, tasks=((CANARY.name, ()),)),
        silent=("TaskFailing", "WorkerLost", "TaskStuck", "PoisonPill"),
    ),
    # What disturbs everybody else.
    Scenario(
        "exporter-down",
        "the fleet is fine and nobody can see it",
        "exporter-down",
        "ExporterDown",
        "critical",
        {"component": "exporter"},
        production_minutes=2.25,
        crew=None,
        feed=None,
        # Its text tells what was waiting when the exporter was last seen.
        baseline="sum(queue:length offset 10m)",
        silent=("NoWorkersOnline", "BrokerDown", "QueueNoConsumers", "TargetDown"),
        alone=True,
    ),
    Scenario(
        "broker-down",
        "Redis is gone",
        "broker-down",
        "BrokerDown",
        "critical",
        {"component": "broker"},
        production_minutes=1.25,
        crew=None,
        feed=None,
        # Its text tells how many workers there were five minutes ago, which the outage before must not hide.
        baseline="count_over_time(fleet:workers_online[5m:15s]) >= 19",
        inhibited={"EventStreamSilent": {}},
        silent=("NoWorkersOnline", "QueueNoConsumers", "QueueReadingsStale"),
        alone=True,
    ),
    Scenario(
        "no-workers",
        "every worker was stopped",
        "stop-workers",
        "NoWorkersOnline",
        "critical",
        {"component": "worker"},
        production_minutes=1.25,
        crew=None,
        feed=None,
        silent=("QueueNoConsumers", "ManyQueuesNoConsumers", "EventStreamSilent", "WorkerLost"),
        alone=True,
    ),
    Scenario(
        "part-of-fleet",
        "half of the workers are killed, and with them all that read several queues",
        "kill-worker",
        "ManyQueuesNoConsumers",
        "critical",
        {"component": "queue"},
        production_minutes=1.5,
        params={"worker": "worker,{worker}"},
        feed=None,
        also={"FleetShrunk": {}},
        silent=("NoWorkersOnline", "QueueNoConsumers", "QueueStalled"),
        alone=True,
    ),
    Scenario(
        "broker-full",
        "Redis has no memory left and refuses whatever is sent",
        "broker-full",
        "BrokerMemoryAlmostFull",
        "critical",
        {"component": "broker"},
        production_minutes=1.25,
        crew=None,
        feed=None,
        inhibited={"BrokerMemoryHigh": {}},
        silent=("BrokerDown", "BrokerEvictingKeys", "NoWorkersOnline"),
        alone=True,
    ),
    Scenario(
        "cardinality",
        "somebody builds task names from data",
        "cardinality",
        "ExporterSeriesCapHit",
        "warning",
        {"component": "exporter"},
        production_minutes=1.5,
        params={"names": 600},
        crew=None,
        feed=None,
        silent=("ExporterDown", "ScrapeLimitHit"),
        alone=True,
    ),
)

_HISTORY = "needs more history than a test can wait for, even on the test clock: "
_OWN_SETTINGS = "tells of a wrong setting that this stack does not have: "
_OWN_PIPELINE = "is about the path that a scenario would be told by: "

#: Alerts without a scenario, and why. promtool's tests alone prove these.
NOT_HERE: dict[str, str] = {
    "Watchdog": "fires always: the healthy run insists that it arrives",
    "QueueWaitSlowBurn": _HISTORY + "six hours",
    "QueueWaitBudgetLow": _HISTORY + "a day, and an hour of `for`",
    "BacklogGrowing": _HISTORY + "half an hour of growth",
    "ProducersSilent": _HISTORY + "a day of traffic",
    "TaskRuntimeRegressed": _HISTORY + "the day before",
    "NewExceptionClass": _HISTORY + "an hour of an exporter's life",
    "WorkersKeepDying": _HISTORY + "an hour in which workers die and return",
    "HistogramBucketsTooShort": _HISTORY + "a quarter of an hour of runs beyond the last bucket",
    "PidboxLeak": _HISTORY + "a thousand reply queues that nobody deletes",
    "CanaryLost": "its limit is an objective of five minutes, which the clock does not divide",
    "QueueReadingsStale": "its limit of a minute is not divided, and the broker's outage ends before",
    "UnackedNearVisibilityTimeout": "the visibility timeout is Celery's own and is not divided",
    "BeatNotFiring": "a scheduler that ticks and does not send has to be written wrong; frozen and gone are tried",
    "ScheduledTaskMissed": "one entry alone is missed only where the schedule is wrong; all of them are BeatDead",
    "OutboxStale": "belongs to the gateway, an optional part that is tried by its own tests",
    "WorkerClockSkew": "needs a machine with a wrong clock",
    "EventsLost": "Redis loses no event of a reader that keeps up; the exporter's own tests cut its connection",
    "ExporterFallingBehind": "the exporter keeps up with more than two cores can publish",
    "BrokerEvictingKeys": _OWN_SETTINGS + "an eviction policy that deletes queues",
    "BrokerEvictionPolicyUnsafe": _OWN_SETTINGS + "an eviction policy that deletes queues",
    "QueueWaitObjectiveUnmeasured": _OWN_SETTINGS + "a limit that is no bound of the histogram",
    "ScrapeLimitHit": _OWN_SETTINGS + "the exporter's limit is below that of its job",
    "CardinalityGuardActive": _OWN_SETTINGS + "a metric with a label without a bound",
    "HighCardinality": _OWN_SETTINGS + "the exporter's limit is below this one",
    "PrometheusRuleFailures": _OWN_SETTINGS + "a rule that fails to evaluate",
    "PrometheusRulesSlow": "depends on the machine, and a busy one must not fail a test",
    "PrometheusConfigReloadFailed": _OWN_SETTINGS + "a configuration that does not load",
    "AlertmanagerConfigReloadFailed": _OWN_SETTINGS + "a configuration that does not load",
    "PrometheusNotConnectedToAlertmanager": _OWN_PIPELINE + "no Alertmanager, no notification",
    "PrometheusNotificationsFailing": _OWN_PIPELINE + "no Alertmanager, no notification",
    "AlertmanagerNotificationsFailing": _OWN_PIPELINE + "no receiver, no notification",
}

#: Faults that no scenario of an alert uses, and where they are tried.
OTHER_FAULTS: dict[str, str] = {
    "redis-restart": "pages nobody: a test of its own in test_outages",
    "kill-child": "told by what it does: poison is the same killing for ever",
}
