"""The corpus of incidents: what breaks, how loudly it should be told, and why a slow one is slow.

Every one breaks a fleet that was healthy for the time given in run.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.detection import faults as f
from tests.bench.detection.faults import Fault

PAGE, WARN = "critical", "warning"


@dataclass(frozen=True)
class Incident:
    """`severity` is the least that is right: a page where users feel it, a warning where working hours do."""

    name: str
    says: str
    severity: str
    fault: Fault
    lasts: float = 3600.0
    slow_because: str = ""  # why it may be told later than ten minutes after its start


SECOND_BY_SECOND = "the harm itself grows slowly: "

INCIDENTS = [
    Incident("all workers killed", "every worker dies without a word", PAGE, f.workers_become("lost")),
    Incident(
        "all workers stopped",
        "every worker is stopped cleanly, and nothing starts again",
        PAGE,
        f.workers_become("stopped"),
    ),
    Incident(
        "one worker of four killed",
        "a worker dies, the others carry its load",
        WARN,
        f.workers_become("lost", "main", most=1),
    ),
    Incident(
        "half of the fleet killed",
        "a node takes half of the workers with it, and the rest still copes",
        WARN,
        f.workers_become("lost", "main", most=2),
    ),
    Incident("a queue without consumers", "the only worker of emails dies", PAGE, f.workers_become("lost", "emails")),
    Incident(
        "a queue that nobody reads",
        "a mistyped route sends orders to a queue of no worker",
        PAGE,
        f.unread_queue("defualt"),
    ),
    Incident("slow tasks", "charging a card takes twenty times as long", PAGE, f.slower("payments.charge", 20.0)),
    Incident("a burst", "a job publishes 60,000 mails at once", PAGE, f.burst("emails.send", 60_000)),
    Incident("more work than workers", "producers send five times as much", PAGE, f.busier(5.0)),
    Incident(
        "a task that always fails",
        "charging a card fails every time",
        PAGE,
        f.task_becomes("payments.charge", failing=1.0),
    ),
    Incident(
        "a task that fails among healthy ones",
        "three in ten reports fail, one task of many",
        WARN,
        f.task_becomes("reports.render", failing=0.3),
    ),
    Incident(
        "everything fails",
        "the database is away, all tasks fail",
        PAGE,
        f.all_of(
            *(
                f.task_becomes(n, failing=0.9, exception="OperationalError")
                for n in ("orders.place", "payments.charge", "emails.send", "reports.render")
            )
        ),
    ),
    Incident(
        "a new exception",
        "two in a hundred orders fail in a way never seen",
        WARN,
        f.task_becomes("orders.place", failing=0.02, exception="KeyError"),
    ),
    Incident(
        "a retry storm",
        "the mail provider is away, every mail is retried",
        WARN,
        f.task_becomes("emails.send", retrying=0.9, exception="SMTPServerDisconnected"),
    ),
    Incident(
        "a poison pill",
        "one message kills each child that takes it and is requeued",
        PAGE,
        f.counted("rejected", "orders.place", 0.5, "true", attempts="redelivered"),
    ),
    Incident(
        "children killed for memory",
        "reports lose their child processes",
        WARN,
        f.counted("failed", "reports.render", 0.05, "WorkerLostError"),
    ),
    Incident(
        "hard time limits",
        "reports run into their time limit",
        WARN,
        f.counted("failed", "reports.render", 0.05, "TimeLimitExceeded"),
    ),
    Incident(
        "a hung pool",
        "every process of the mail worker waits for a socket that never answers",
        PAGE,
        f.workers_become("hung", "emails"),
    ),
    Incident(
        "a task that never ends",
        "one report hangs, the others go on",
        WARN,
        f.stuck("reports.render"),
        7200.0,
        "it is only known once the task is older than the limit for tasks",
    ),
    Incident(
        "workers that do not consume",
        "heartbeats go on after the broker's restart, nothing is taken",
        PAGE,
        f.workers_become("catatonic"),
    ),
    Incident("beat is dead", "the scheduler's process is gone", PAGE, f.goes_down("beat")),
    Incident("beat does not tick", "the scheduler is up and sends nothing", PAGE, f.fact_now("beat_silent")),
    Incident("a scheduled task is missed", "one entry is no longer sent", WARN, f.fact_now("missed orders.sweep")),
    Incident(
        "tasks expire",
        "mails are thrown away unread because they are too old",
        WARN,
        f.counted("revoked", "emails.send", 0.5, "expired"),
    ),
    Incident("the exporter is down", "it does not answer its scrapes", PAGE, f.goes_down("celery")),
    Incident("the exporter's target is gone", "it vanished from the targets", PAGE, f.goes_down("absent")),
    Incident(
        "the event stream is silent",
        "no event comes though workers work",
        PAGE,
        f.all_of(f.fact_now("last_event"), f.goes_down("events")),
    ),
    Incident("events off on a deployment", "one worker was deployed without task events", WARN, f.events_off("main1")),
    Incident("events are lost", "a tenth of what happens is not seen", WARN, f.events_lossy(0.5)),
    Incident("the broker is down", "it answers nobody", PAGE, f.goes_down("broker")),
    Incident("the broker's memory fills", "nine tenths of its limit are used", WARN, f.fact("memory", 245e6)),
    Incident(
        "the broker evicts",
        "keys of queues are thrown away",
        PAGE,
        f.all_of(f.fact("evicting", 1.0), f.grows("evicted", 0.5)),
    ),
    Incident("an unsafe eviction policy", "the broker may evict, and has not yet", WARN, f.fact("evicting", 1.0)),
    Incident(
        "prefetch hoarding",
        "workers hold four hundred mails, the queue looks empty",
        WARN,
        f.hoards("emails", 400.0),
        7200.0,
        "a full hand is normal for a while; it is hoarding once it stays",
    ),
    Incident(
        "near the visibility timeout",
        "a message has been unacknowledged for 50 of 60 minutes",
        WARN,
        f.unacknowledged("reports", 3000.0),
    ),
    Incident("a priority starves", "nothing of low priority is taken", PAGE, f.starves("9")),
    Incident(
        "producers are silent",
        "nobody places orders, where it is never quiet",
        WARN,
        f.silent("orders.place"),
        7200.0,
        "silence is only told from a pause once it lasted",
    ),
    Incident(
        "a cardinality explosion",
        "a label with task ids appears",
        WARN,
        f.all_of(f.grows("series", 500.0), f.fact("series_added", 7500.0), f.grows("series_dropped", 500.0)),
    ),
    Incident("rules fail", "Prometheus cannot evaluate a rule group", WARN, f.grows("rule_failures", 0.1)),
    Incident("Alertmanager is down", "alerts are evaluated and go nowhere", PAGE, f.goes_down("alertmanager")),
    Incident("notifications fail", "the receiver refuses them", PAGE, f.grows("notifications_failed", 0.05)),
    Incident("a clock is wrong", "a worker's clock is two minutes ahead", WARN, f.fact("skew main1@a", 120.0), 7200.0),
    Incident(
        "two hung slots of many",
        "reports hold the shared slots for good",
        WARN,
        f.all_of(f.stuck("orders.place"), f.slower("orders.place", 6.0)),
        7200.0,
        "it is only known once the task is older than the limit for tasks",
    ),
]
