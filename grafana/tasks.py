"""By task: pace, failures, retries and runs of one task or of all."""

from __future__ import annotations

from grafana.model import COUNT, PER_SECOND, RATIO, SECONDS, Board, Panel, Query, Row, Variable

TASK = '{queue=~"$queue", task=~"$task"}'
TRACES = (
    "/explore?schemaVersion=1&orgId=1&panes=%7B%22a%22:%7B%22datasource%22:%22jaeger%22,%22queries%22:%5B%7B"
    "%22refId%22:%22A%22,%22datasource%22:%7B%22type%22:%22jaeger%22,%22uid%22:%22jaeger%22%7D,"
    "%22queryType%22:%22search%22,%22service%22:%22worker%22,%22operation%22:%22run%2F${__field.labels.task}%22%7D%5D,"
    "%22range%22:%7B%22from%22:%22now-1h%22,%22to%22:%22now%22%7D%7D%7D"
)
TO_TRACES = ("Traces of this task", TRACES)

PACE = (
    Panel(
        "Started",
        "Attempts that started in a second, retries among them.",
        (Query(f"task:started:rate5m{TASK}", "{{task}}"),),
        PER_SECOND, "area", link=TO_TRACES,
    ),
    Panel(
        "Succeeded",
        "Attempts that returned.",
        (Query(f"task:succeeded:rate5m{TASK}", "{{task}}"),),
        PER_SECOND, "area", link=TO_TRACES,
    ),
)  # fmt: skip

FAILURES = (
    Panel(
        "Failed",
        "Attempts that failed for good.",
        (Query(f"task:failed:rate5m{TASK}", "{{task}}"),),
        PER_SECOND, width=8, link=TO_TRACES,
    ),
    Panel(
        "Failed, part of all that ended",
        "Tasks without a failure have no line.",
        (Query(f"task:failure_ratio:5m{TASK}", "{{task}}", needs="a failing task"),),
        RATIO, width=8, maximum=1, link=TO_TRACES,
    ),
    Panel(
        "Retried, part of all that started",
        "A task that fails and is always tried again shows here and nowhere else.",
        (Query(f"task:retry_ratio:5m{TASK}", "{{task}}", needs="a retrying task"),),
        RATIO, width=8, maximum=1, link=TO_TRACES,
    ),
    Panel(
        "Failures by exception",
        "How often each task has failed with each class of exception since the exporter started.",
        (Query('topk(20, task:exceptions:total{task=~"$task"})', needs="a failed task"),),
        kind="table", width=24,
    ),
)  # fmt: skip

RUNS = (
    Panel(
        "Mean run",
        "Of the attempts that succeeded in the last five minutes.",
        (Query(f"task:runtime_seconds:avg5m{TASK}", "{{task}}"),),
        SECONDS, width=8, link=TO_TRACES,
    ),
    Panel(
        "Longest run that has not ended",
        "A line that goes up for ever is a task that hangs.",
        (Query(f"task:longest_running_seconds{TASK}", "{{task}}", needs="a running task"),),
        SECONDS, width=8,
    ),
    Panel(
        "Mean run against yesterday's",
        "The half hour's mean over that of the same time yesterday: 2 is twice as slow.",
        (
            Query(
                f"task:runtime_seconds:avg30m{TASK} / on (queue, task) (task:runtime_seconds:avg30m{TASK} offset 1d)",
                "{{task}}",
                needs="a day of data",
            ),
        ),
        COUNT, width=8,
    ),
)  # fmt: skip

TABLE = Panel(
    "Every task",
    "Of the last five minutes.",
    (
        Query(f"task:started:rate5m{TASK}"),
        Query(f"task:failed:rate5m{TASK}"),
        Query(f"task:retried:rate5m{TASK}"),
        Query(f"task:runtime_seconds:avg5m{TASK}"),
        Query(f"task:longest_running_seconds{TASK}", needs="a running task"),
    ),
    kind="table", width=24, height=10,
    columns=(
        ("Started", PER_SECOND), ("Failed", PER_SECOND), ("Retried", PER_SECOND),
        ("Mean run", SECONDS), ("Running for", SECONDS),
    ),
)  # fmt: skip

BOARD = Board(
    "celery-tasks",
    "Celery by task",
    "Pace, failures, retries and runs of one task or of all.",
    (Row("", (*PACE, TABLE)), Row("Failures and retries", FAILURES), Row("Runs", RUNS)),
    (Variable("queue", "Queue", "queue:length"), Variable("task", "Task", "task:started:rate5m")),
)
