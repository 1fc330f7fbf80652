"""The overview: the four questions of an incident on one screen, then every queue in one line."""

from __future__ import annotations

from grafana.model import COUNT, PER_SECOND, RATIO, SECONDS, Board, Limits, Panel, Query, Row, Variable

QUEUE = '{queue=~"$queue"}'
TASKS = "/d/celery-tasks?var-queue=${__field.labels.queue}"

STATS = (
    Panel(
        "Firing",
        "Alerts that fire now, the dead man's switch left out.",
        (Query('count(ALERTS{alertstate="firing", alertname!="Watchdog"}) or vector(0)'),),
        kind="stat", width=4, height=4, limits=Limits(1, 5),
    ),
    Panel(
        "Waiting",
        "Tasks that wait in the broker.",
        (Query(f"sum(queue:length{QUEUE})"),),
        kind="stat", width=4, height=4,
    ),
    Panel(
        "Oldest task",
        "How long the oldest waiting task has waited.",
        (Query(f"max(queue:oldest_age_seconds{QUEUE})"),),
        SECONDS, "stat", 4, 4, Limits(60, 300),
    ),
    Panel(
        "Finished",
        "Tasks that end in a second, well or not.",
        (Query(f"sum(queue:finished:rate5m{QUEUE})"),),
        PER_SECOND, "stat", 4, 4,
    ),
    Panel(
        "Failing",
        "Of the tasks that ended in the last five minutes, the part that failed.",
        (Query(f"sum(queue:failed:rate5m{QUEUE}) / (sum(queue:finished:rate5m{QUEUE}) > 0) or vector(0)"),),
        RATIO, "stat", 4, 4, Limits(0.05, 0.5),
    ),
    Panel(
        "Workers",
        "Worker nodes that send heartbeats, and those that went silent without a goodbye.",
        (Query("fleet:workers_online", "online"), Query("fleet:workers_lost", "lost")),
        kind="stat", width=4, height=4,
    ),
)  # fmt: skip

DRAINING = (
    Panel(
        "Is the backlog draining? Waiting by queue",
        "A line that rises is a backlog. How long it will take is in the table below.",
        (Query(f"queue:length{QUEUE}", "{{queue}}"),),
        width=6, link=("Tasks of this queue", TASKS),
    ),
    Panel(
        "Arriving and finishing",
        "Where more arrive than finish, the backlog grows.",
        (
            Query(f"sum(queue:sent:rate5m{QUEUE})", "arriving"),
            Query(f"sum(queue:finished:rate5m{QUEUE})", "finishing"),
        ),
        PER_SECOND, width=6,
    ),
)  # fmt: skip

FAILING = (
    Panel(
        "Is anything failing? Failed by queue",
        "Of the tasks that ended, the part that failed.",
        (Query(f"job:failure_rate:5m{QUEUE}", "{{queue}}"),),
        RATIO, width=6, link=("Tasks of this queue", TASKS),
    ),
    Panel(
        "Failing and retrying tasks",
        "The five tasks that fail most, and the five that ask for another try most.",
        (
            Query(f"topk(5, task:failed:rate5m{QUEUE} > 0)", "{{task}} fails", needs="a failing task"),
            Query(f"topk(5, task:retried:rate5m{QUEUE} > 0)", "{{task}} retries", needs="a retrying task"),
        ),
        PER_SECOND, width=6,
        link=("This task", "/d/celery-tasks?var-queue=${__field.labels.queue}&var-task=${__field.labels.task}"),
    ),
)  # fmt: skip

WAITING = (
    Panel(
        "How long do tasks wait? Oldest by queue",
        "The age of the oldest waiting task. It rises with no worker and no traffic at all.",
        (Query(f"queue:oldest_age_seconds{QUEUE}", "{{queue}}"),),
        SECONDS, width=6, link=("Tasks of this queue", TASKS),
    ),
    Panel(
        "Wait and run, slowest of a hundred",
        "The 99th percentile of the wait before the start, and of the run.",
        (
            Query(f"queue:wait_seconds:p99_5m{QUEUE}", "{{queue}} waits"),
            Query(f"job:exec_p99:5m{QUEUE}", "{{queue}} runs"),
        ),
        SECONDS, width=6,
    ),
)  # fmt: skip

SATURATED = (
    Panel(
        "Are the workers saturated? Pool in use",
        "The part of each worker's processes or threads that runs a task.",
        (Query("worker:pool_used_ratio", "{{worker}}"),),
        RATIO, width=6, maximum=1,
    ),
    Panel(
        "Capacity",
        "Processes of the fleet, how many of them are busy, and tasks that workers hold.",
        (
            Query("fleet:pool_size", "processes"),
            Query("fleet:tasks_active", "busy"),
            Query(f"sum(queue:unacked{QUEUE})", "held by workers"),
        ),
        width=6,
    ),
)  # fmt: skip

QUEUES = Panel(
    "Every queue",
    "Drain is how long the workers need for what waits at their present pace. Budget is what is left of three days' "
    "wait objective: 100 % is all of it, below 0 is overspent.",
    (
        Query(f"queue:length{QUEUE}"),
        Query(f"queue:oldest_age_seconds{QUEUE}"),
        Query(f"queue:wait_limit_seconds{QUEUE}"),
        Query(f"queue:drain_seconds{QUEUE} < +Inf", needs="a queue whose tasks finish"),
        Query(f"queue:finished:rate5m{QUEUE}"),
        Query(f"job:failure_rate:5m{QUEUE} >= 0"),
        Query(f"queue:workers{QUEUE}"),
        Query(f"queue:wait_budget_left:ratio3d{QUEUE}", needs="ten minutes of traffic"),
    ),
    kind="table", width=24, height=9,
    columns=(
        ("Waiting", COUNT), ("Oldest", SECONDS), ("Objective", SECONDS), ("Drain", SECONDS),
        ("Finished", PER_SECOND), ("Failed", RATIO), ("Workers", COUNT), ("Budget", RATIO),
    ),
)  # fmt: skip

ALERTS = Panel(
    "Alerts",
    "What fires or is about to.",
    (Query('ALERTS{alertname!="Watchdog"}', needs="an alert"),),
    kind="table", width=24, height=8,
)  # fmt: skip

BOARD = Board(
    "celery-overview",
    "Celery overview",
    "The four questions of an incident: is the backlog draining, is anything failing, how long do tasks wait and run, "
    "are the workers saturated.",
    (Row("", (*STATS, *DRAINING, *FAILING, *WAITING, *SATURATED)), Row("Queues and alerts", (QUEUES, ALERTS))),
    (Variable("queue", "Queue", "queue:length"),),
)
