"""The pipeline itself: whether what the other dashboards show can be believed."""

from __future__ import annotations

from grafana.model import BYTES, PER_SECOND, RATIO, SECONDS, Board, Limits, Panel, Query, Row

STATS = (
    Panel(
        "Targets down",
        "Scrape targets that do not answer.",
        (Query("count(up == 0) or vector(0)"),),
        kind="stat", width=4, height=4, limits=Limits(1, 1),
    ),
    Panel(
        "Exporter sees",
        "0 where the exporter gets no events although workers are known.",
        (Query("1 - (max(exporter:blind) or vector(0))"),),
        kind="stat", width=4, height=4,
    ),
    Panel(
        "Last event",
        "Since the exporter got its last event; workers send a heartbeat every two seconds.",
        (Query("time() - max(celery_exporter_event_last_timestamp_seconds)"),),
        SECONDS, "stat", 4, 4, Limits(10, 60),
    ),
    Panel(
        "Series",
        "Series that Prometheus holds in memory.",
        (Query("max(prometheus_tsdb_head_series)"),),
        kind="stat", width=4, height=4,
    ),
    Panel(
        "Rule failures",
        "Rules that could not be evaluated in the last hour.",
        (Query("sum(increase(prometheus_rule_evaluation_failures_total[1h]))"),),
        kind="stat", width=4, height=4, limits=Limits(1, 1),
    ),
    Panel(
        "Undelivered",
        "Alerts that did not get to Alertmanager, and notifications that did not get to a receiver, in the last hour.",
        (
            Query(
                "sum(increase(prometheus_notifications_dropped_total[1h]))"
                " + sum(increase(alertmanager_notifications_failed_total[1h]))"
            ),
        ),
        kind="stat", width=4, height=4, limits=Limits(1, 1),
    ),
)  # fmt: skip

SCRAPES = (
    Panel(
        "Targets",
        "1 answers, 0 does not.",
        (Query("min by (job, instance) (up)", "{{job}} {{instance}}"),),
        width=8, maximum=1,
    ),
    Panel(
        "Scrape time",
        "A scrape that nears its timeout of 10 s is about to fail.",
        (Query("max by (job) (scrape_duration_seconds)", "{{job}}"),),
        SECONDS, width=8,
    ),
    Panel(
        "Samples of a scrape",
        "What is kept of each target. A jump is a label without bound.",
        (Query("sum by (job) (scrape_samples_post_metric_relabeling)", "{{job}}"),),
        width=8,
    ),
    Panel(
        "Samples dropped by the guards",
        "Scraped and not kept: series with a label that has no bound.",
        (
            Query(
                "sum by (job) (scrape_samples_scraped) - sum by (job) (scrape_samples_post_metric_relabeling)",
                "{{job}}",
            ),
        ),
        width=8,
    ),
    Panel(
        "Series, and new ones",
        "Series in memory. New ones in a five minutes' time come from restarts, and from labels without bound.",
        (
            Query("max(prometheus_tsdb_head_series)", "in memory"),
            Query("sum(increase(prometheus_tsdb_head_series_created_total[5m]))", "new"),
        ),
        width=8,
    ),
    Panel(
        "Memory of the parts",
        "Resident memory of each process that tells.",
        (Query("sum by (job, instance) (process_resident_memory_bytes)", "{{job}} {{instance}}"),),
        BYTES, width=8,
    ),
)  # fmt: skip

RULES = (
    Panel(
        "Rule time, part of the interval",
        "A group that takes its whole interval misses rounds.",
        (
            Query(
                'label_replace(max by (rule_group) (prometheus_rule_group_last_duration_seconds)'
                ' / max by (rule_group) (prometheus_rule_group_interval_seconds),'
                ' "group", "$1", "rule_group", ".*;(.+)")',
                "{{group}}",
            ),
        ),
        RATIO, width=8,
    ),
    Panel(
        "Rounds missed and rules failed",
        "Both are 0 where all is well.",
        (
            Query("sum(rate(prometheus_rule_group_iterations_missed_total[5m]))", "rounds missed"),
            Query("sum(rate(prometheus_rule_evaluation_failures_total[5m]))", "rules failed"),
        ),
        PER_SECOND, width=8,
    ),
    Panel(
        "Alerts on their way",
        "From Prometheus to Alertmanager, and what waits.",
        (
            Query("sum(rate(prometheus_notifications_sent_total[5m]))", "sent to Alertmanager"),
            Query("sum(rate(prometheus_notifications_dropped_total[5m]))", "dropped"),
            Query("sum(prometheus_notifications_queue_length)", "waiting"),
        ),
        width=8,
    ),
    Panel(
        "Notifications by receiver's kind",
        "What Alertmanager delivered in an hour, and what it could not.",
        (
            Query('sum(increase(alertmanager_notifications_total{integration="webhook"}[1h]))', "webhook"),
            Query(
                'sum by (integration) (increase(alertmanager_notifications_total{integration!="webhook"}[1h])) > 0',
                "{{integration}}",
                needs="a receiver besides the inbox",
            ),
            Query(
                "sum by (integration) (increase(alertmanager_notifications_failed_total[1h])) > 0",
                "{{integration}} failed",
                needs="a receiver that fails",
            ),
        ),
        width=8,
    ),
    Panel(
        "Alerts in Alertmanager",
        "Active, and suppressed by an inhibition or a silence.",
        (Query("sum by (state) (alertmanager_alerts)", "{{state}}"),),
        width=8,
    ),
    Panel(
        "Inbox",
        "Notifications kept and refused in an hour.",
        (
            Query("sum(increase(inbox_notifications_stored_total[1h]))", "kept"),
            Query(
                "sum by (reason) (increase(inbox_notifications_rejected_total[1h])) > 0",
                "{{reason}}",
                needs="a refused notification",
            ),
        ),
        width=8,
    ),
)  # fmt: skip

EXPORTER = (
    Panel(
        "Events by type",
        "What the exporter reads from the workers' event stream.",
        (Query("sum by (type) (rate(celery_exporter_events_total[5m]))", "{{type}}"),),
        PER_SECOND, "area", 8,
    ),
    Panel(
        "Age of the readings",
        "Since queues were read and workers answered. Both rise together where the broker is away.",
        (
            Query("time() - max(celery_exporter_queues_read_timestamp_seconds)", "queues"),
            Query("time() - max(celery_exporter_inspect_timestamp_seconds)", "workers' answers"),
        ),
        SECONDS, width=8,
    ),
    Panel(
        "What the exporter leaves out",
        "Events dropped, series over the limit, tasks whose name or queue is unknown. 0 where all is well.",
        (
            Query("sum(rate(celery_exporter_events_dropped_total[5m]))", "events dropped"),
            Query("sum(rate(celery_exporter_series_dropped_total[5m]))", "series dropped"),
            Query("sum(rate(celery_exporter_unattributed_total[5m]))", "tasks not attributed"),
        ),
        PER_SECOND, width=8,
    ),
)  # fmt: skip

BROKER = (
    Panel(
        "Broker memory",
        "Over its limit the broker refuses new tasks, or throws away old ones where its policy is not noeviction.",
        (
            Query("max(celery_broker_memory_used_bytes)", "used"),
            Query("max(celery_broker_memory_max_bytes) > 0", "limit", needs="a broker with a memory limit"),
        ),
        BYTES, width=8,
    ),
    Panel(
        "Clients and reply keys",
        "Reply keys that pile up are left behind by monitoring tools.",
        (
            Query("max(celery_broker_connected_clients)", "clients"),
            Query("max(celery_broker_pidbox_keys)", "reply keys"),
        ),
        width=8,
    ),
    Panel(
        "Event buffer of the exporter",
        "What the broker holds back for a reader that is too slow; beyond a limit it cuts the reader off.",
        (Query("max(celery_broker_events_output_buffer_bytes)", "bytes"),),
        BYTES, width=8,
    ),
)  # fmt: skip

BOARD = Board(
    "celery-pipeline",
    "Celery pipeline",
    "Whether the rest can be believed: scrapes, rules, notifications, the exporter and the broker.",
    (
        Row("", (*STATS, *SCRAPES)),
        Row("Rules and notifications", RULES),
        Row("Exporter", EXPORTER),
        Row("Broker", BROKER),
    ),
)
