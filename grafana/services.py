"""The services around the workers: gateway, load, schedule, what tasks say themselves, traces and Flower."""

from __future__ import annotations

from grafana.model import PER_SECOND, SECONDS, Board, Limits, Panel, Query, Row

GATEWAY, FLOWER, TRACES = "the gateway", "Flower", "the trace back end"

SCHEDULE = (
    Panel(
        "Canaries",
        "How long a canary task takes through each queue: the 95th percentile.",
        (
            Query(
                "histogram_quantile(0.95, sum by (queue, le) (rate(canary_latency_seconds_bucket[5m])))", "{{queue}}"
            ),
        ),
        SECONDS, width=8,
    ),
    Panel(
        "Last canary back",
        "A line that goes up is a queue that nobody serves.",
        (Query("time() - max by (queue) (canary_last_return_timestamp_seconds)", "{{queue}}"),),
        SECONDS, width=8,
    ),
    Panel(
        "Beat",
        "Since beat's last tick, and since each entry ran, in intervals of that entry: above 3 it is missed.",
        (
            Query("time() - max(beat_last_tick_timestamp_seconds)", "seconds since the last tick"),
            Query(
                "(time() - max by (entry) (beat_entry_last_run_timestamp_seconds))"
                " / on (entry) max by (entry) (beat_entry_interval_seconds)",
                "{{entry}}",
            ),
        ),
        width=8,
    ),
)  # fmt: skip

LOAD = (
    Panel(
        "Load: asked for and published",
        "The rate that the shape asks for, and what got to the broker or the gateway.",
        (
            Query("max(loadgen_target_rate)", "asked for"),
            Query('sum(rate(loadgen_requests_total{step=~"publish|POST"}[1m]))', "published"),
            Query('sum(rate(loadgen_failures_total{step=~"publish|POST"}[1m]))', "refused"),
        ),
        PER_SECOND, width=8,
    ),
    Panel(
        "From publish to result",
        "As a customer sees it, since the load began.",
        (
            Query('max by (task) (loadgen_quantile_seconds{step="complete", quantile="0.5"})', "{{task}} median"),
            Query('max by (task) (loadgen_quantile_seconds{step="complete", quantile="0.99"})', "{{task}} 99 %"),
        ),
        SECONDS, width=8,
    ),
    Panel(
        "Failed orders",
        "Completions that failed or did not come in time, in a second.",
        (Query('sum by (task) (rate(loadgen_failures_total{step="complete"}[5m]))', "{{task}}"),),
        PER_SECOND, width=8,
    ),
)  # fmt: skip

TASKS = (
    Panel(
        "Jobs by status",
        "Counted inside the workers; the exporter's count is on the other dashboards.",
        (Query("sum by (status) (rate(worker_jobs_total[5m]))", "{{status}}"),),
        PER_SECOND, "area", 8,
    ),
    Panel(
        "Wait and run, 95th percentile",
        "With the buckets of each queue.",
        (
            Query(
                "histogram_quantile(0.95, sum by (queue, le) (rate(worker_queue_wait_seconds_bucket[5m])))",
                "{{queue}} waits",
            ),
            Query(
                "histogram_quantile(0.95, sum by (queue, le) (rate(worker_exec_seconds_bucket[5m])))",
                "{{queue}} runs",
            ),
        ),
        SECONDS, width=8,
    ),
    Panel(
        "In flight, and retries by reason",
        "Jobs that run now, by queue; retries a second by the exception that caused them.",
        (
            Query("sum by (queue) (worker_inflight_jobs)", "{{queue}} in flight"),
            Query("sum by (reason) (rate(worker_retries_total[5m]))", "retries: {{reason}}", needs="a retrying task"),
        ),
        width=8,
    ),
)  # fmt: skip

HTTP = (
    Panel(
        "Orders over HTTP",
        "Accepted, invalid, and refused because the broker is away and the outbox full.",
        (Query("sum by (outcome) (rate(gateway_orders_total[5m]))", "{{outcome}}", needs=GATEWAY),),
        PER_SECOND, "area", 8,
    ),
    Panel(
        "Requests, 95th percentile",
        "From a request's arrival to its answer.",
        (
            Query(
                "histogram_quantile(0.95, sum by (route, le) (rate(http_request_duration_seconds_bucket[5m])))",
                "{{route}}",
                needs=GATEWAY,
            ),
        ),
        SECONDS, width=8,
    ),
    Panel(
        "Outbox",
        "Orders that were accepted and are not yet published, and the age of the oldest in seconds.",
        (
            Query("sum(outbox_rows)", "orders", needs=GATEWAY),
            Query("max(outbox_oldest_age_seconds)", "seconds", needs=GATEWAY),
        ),
        width=8, limits=Limits(1, 100),
    ),
)  # fmt: skip

FRONTS = (
    Panel(
        "Flower: workers and running tasks",
        "What the administration page knows.",
        (
            Query("sum(flower_worker_online)", "online", needs=FLOWER),
            Query("sum(flower_worker_number_of_currently_executing_tasks)", "running", needs=FLOWER),
        ),
        width=8,
    ),
    Panel(
        "Flower: events",
        "By type.",
        (Query("sum by (type) (rate(flower_events_total[5m]))", "{{type}}", needs=FLOWER),),
        PER_SECOND, width=8,
    ),
    Panel(
        "Flower: prefetch time",
        "How long tasks wait in a worker after it took them.",
        (Query("max by (task) (flower_task_prefetch_time_seconds)", "{{task}}", needs=FLOWER),),
        SECONDS, width=8,
    ),
    Panel(
        "Recent traces",
        "A click opens the trace: the request, the publish and every attempt.",
        (Query("gateway", needs=TRACES), Query("worker", needs=TRACES)),
        kind="traces", width=24, height=10,
    ),
)  # fmt: skip

BOARD = Board(
    "celery-services",
    "Celery services",
    "The services around the workers: schedule, load, what tasks say themselves, gateway, Flower and traces.",
    (
        Row("Schedule and canaries", SCHEDULE),
        Row("Load", LOAD),
        Row("What the workers say themselves", TASKS),
        Row("Gateway (make up PROFILES=gateway)", HTTP),
        Row("Flower and traces (make up PROFILES=flower,traces)", FRONTS),
    ),
)
