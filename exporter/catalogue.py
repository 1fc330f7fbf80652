"""Every metric the exporter has: name, type, labels, unit, meaning, source. Data only; the documentation repeats it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. ``name`` is without the prefix (``celery_`` unless told otherwise)."""

    name: str
    kind: str
    """``counter`` (its name ends with ``_total``), ``gauge`` or ``histogram``."""
    labels: tuple[str, ...]
    unit: str
    source: str
    help: str


_TASK = ("name", "queue_name")
_WORKER = ("hostname", "worker")
_QUEUE = ("queue_name",)


def _counter(name: str, labels: tuple[str, ...], unit: str, source: str, text: str) -> Metric:
    return Metric(name, "counter", labels, unit, source, text)


def _gauge(name: str, labels: tuple[str, ...], unit: str, source: str, text: str) -> Metric:
    return Metric(name, "gauge", labels, unit, source, text)


TASKS = (
    _counter("task_sent_total", _TASK, "messages", "task-sent", "Task messages published, retries included."),
    _counter("task_received_total", _TASK, "messages", "task-received", "Task messages received by a worker."),
    _counter("task_started_total", _TASK, "attempts", "task-started", "Attempts started."),
    _counter("task_succeeded_total", _TASK, "attempts", "task-succeeded", "Attempts that returned."),
    _counter(
        "task_failed_total", (*_TASK, "exception"), "attempts", "task-failed",
        "Attempts that failed for good, by exception class; the empty class is always 0.",
    ),
    _counter("task_rejected_total", _TASK, "attempts", "task-rejected", "Attempts whose message was rejected."),
    _counter("task_revoked_total", _TASK, "tasks", "task-revoked", "Tasks revoked, expired or terminated."),
    _counter("task_retried_total", _TASK, "attempts", "task-retried", "Attempts that will be tried again."),
    Metric("task_runtime", "histogram", _TASK, "seconds", "task-succeeded", "Time that succeeded attempts ran."),
    Metric(
        "task_queue_wait_time", "histogram", _TASK, "seconds", "task-sent, task-started",
        "Time from publication (or the ETA, if later) to the start.",
    ),
    _counter("task_failures_total", _TASK, "attempts", "task-failed", "Attempts that failed for good."),
    _counter(
        "task_finished_total", (*_TASK, "outcome"), "tasks", "the last event of a task",
        "Tasks that came to an end, each counted once.",
    ),
    _counter(
        "task_attempts_total", (*_TASK, "kind"), "attempts", "task-started",
        "Attempts started: the first, a retry, or a redelivery of the same message.",
    ),
    _counter(
        "task_rejections_total", (*_TASK, "requeue"), "attempts", "task-rejected",
        "Attempts whose message was rejected, by whether it went back to the queue.",
    ),
    _counter(
        "task_revocations_total", (*_TASK, "reason"), "tasks", "task-revoked",
        "Tasks that expired, were terminated at work, or were revoked before.",
    ),
    _counter(
        "task_retries_total", (*_TASK, "exception"), "attempts", "task-retried",
        "Attempts that will be tried again, by the class of the exception.",
    ),
    _gauge(
        "task_longest_running_seconds", _TASK, "seconds", "task-started",
        "Age of the longest task now running; 0 when none is.",
    ),
)  # fmt: skip

WORKERS = (
    _gauge("worker_up", _WORKER, "1 or 0", "heartbeats", "1 while the worker's heartbeats come."),
    _gauge("worker_tasks_active", _WORKER, "tasks", "heartbeats", "Tasks that the worker is running."),
    _gauge("worker_lost", _WORKER, "1 or 0", "heartbeats", "1 after the worker went silent without a goodbye."),
    _gauge(
        "worker_last_heartbeat_timestamp_seconds", _WORKER, "seconds since the epoch", "heartbeats",
        "When the last heartbeat was received.",
    ),
    _gauge("worker_pool_size", _WORKER, "tasks", "the worker's answer", "Tasks that the worker can run at once."),
    _gauge("worker_info", (*_WORKER, "pool", "software", "version"), "1", "heartbeats, the worker's answer",
           "Always 1."),
    _counter(
        "worker_processed_total", _WORKER, "attempts", "heartbeats",
        "Tasks that the worker itself has counted; begins at 0 with its process.",
    ),
    _counter(
        "worker_events_lost_total", _WORKER, "events", "heartbeats, task-started",
        "Starts that the worker counted and that the exporter never heard of.",
    ),
    _gauge(
        "worker_task_events_disabled", _WORKER, "1 or 0", "heartbeats",
        "1 while the worker counts tasks but sends no task events.",
    ),
    _gauge(
        "worker_clock_skew_seconds", _WORKER, "seconds", "heartbeats",
        "The exporter's clock less the worker's, of late.",
    ),
    _gauge(
        "worker_reserved", _WORKER, "tasks", "task-received, task-started",
        "Tasks that the worker holds and has not started.",
    ),
    _counter("workers_lost_total", (), "workers", "heartbeats", "Workers that went silent without a goodbye."),
    _counter(
        "worker_children_lost_total", (), "processes", "task-failed, task-rejected",
        "Tasks whose pool process died: WorkerLostError, or a running task put back into its queue.",
    ),
)  # fmt: skip

QUEUES = (
    _gauge("queue_length", _QUEUE, "messages", "broker", "Messages waiting, of all priorities."),
    _gauge("queue_length_by_priority", (*_QUEUE, "priority"), "messages", "broker",
           "Messages waiting, by the broker's priority step (0 goes first on Redis)."),
    _gauge("queue_oldest_age_seconds", _QUEUE, "seconds", "broker", "Age of the oldest waiting message; 0 if none."),
    _gauge("queue_oldest_age_by_priority_seconds", (*_QUEUE, "priority"), "seconds", "broker",
           "Age of the oldest waiting message of each priority step."),
    _gauge("queue_oldest_age_is_exact", _QUEUE, "1 or 0", "broker",
           "1 when the age comes from a stamp, 0 when it is a lower bound."),
    _gauge("queue_unacked", _QUEUE, "messages", "broker",
           "Messages delivered and not acknowledged: running, prefetched, or waiting for an ETA."),
    _gauge("queue_eta", _QUEUE, "messages", "broker", "Of the unacknowledged, those whose ETA is to come."),
    _gauge("queue_unacked_oldest_age_seconds", _QUEUE, "seconds", "broker",
           "Time since the oldest unacknowledged message was delivered; 0 if none."),
    _gauge("active_consumer_count", _QUEUE, "consumers", "broker; on Redis the workers' answers",
           "Consumers of the queue."),
    _gauge("active_worker_count", _QUEUE, "workers", "the workers' answers", "Live workers that read the queue."),
    _gauge("active_process_count", _QUEUE, "tasks", "the workers' answers",
           "Tasks that the live workers of the queue can run at once."),
)  # fmt: skip

BROKER = (
    _gauge("broker_up", (), "1 or 0", "broker", "1 while the broker answers."),
    _gauge("broker_info", ("transport", "version"), "1", "broker", "Always 1."),
    _gauge("broker_memory_used_bytes", (), "bytes", "INFO", "Memory in use."),
    _gauge("broker_memory_max_bytes", (), "bytes", "INFO", "Memory limit; 0 when there is none."),
    _counter("broker_evicted_keys_total", (), "keys", "INFO", "Keys evicted for want of memory."),
    _gauge("broker_eviction_policy", ("policy",), "1", "INFO", "Always 1; anything but noeviction loses tasks."),
    _gauge("broker_visibility_timeout_seconds", (), "seconds", "transport options",
           "Time after which an unacknowledged message is delivered again."),
    _gauge("broker_pidbox_keys", (), "keys", "SCAN", "Reply queues of remote control that exist now."),
    _gauge("broker_events_output_buffer_bytes", (), "bytes", "CLIENT LIST",
           "What the broker holds back for the exporter's event connection."),
    _gauge("broker_connected_clients", (), "connections", "INFO", "Client connections."),
)  # fmt: skip

EXPORTER = (
    _counter("exporter_events_total", ("type",), "events", "exporter", "Events decoded, by type."),
    _counter("exporter_events_dropped_total", ("reason",), "events or messages", "exporter", "What was not counted."),
    _gauge("exporter_event_last_timestamp_seconds", (), "seconds since the epoch", "exporter",
           "When the last event was received."),
    _gauge("exporter_event_stream_up", (), "1 or 0", "exporter", "1 while the event stream is connected."),
    _counter("exporter_event_stream_connects_total", (), "connections", "exporter", "Times the stream was connected."),
    _gauge("exporter_event_buffer_bytes", (), "bytes", "exporter", "Bytes read and not yet counted."),
    _gauge("exporter_queues_read_timestamp_seconds", (), "seconds since the epoch", "exporter",
           "When the queues were last read."),
    _gauge("exporter_inspect_timestamp_seconds", (), "seconds since the epoch", "exporter",
           "When workers last answered."),
    _counter("exporter_series_dropped_total", ("metric",), "label sets", "exporter",
             "Label sets turned away because the limit was reached."),
    _counter("exporter_unattributed_total", (), "tasks", "exporter",
             "Tasks whose queue or name had to be guessed."),
    _counter("exporter_untracked_total", (), "tasks", "exporter",
             "Tasks not remembered because the limit was reached."),
    _counter("exporter_duplicate_events_total", (), "events", "exporter", "Second ends of a task, left out."),
    _counter("exporter_negative_waits_total", (), "attempts", "exporter",
             "Waits below 0 (clocks apart), counted as 0."),
    _gauge("exporter_tasks_tracked", (), "tasks", "exporter", "Unfinished tasks that are remembered."),
    _gauge("exporter_build_info", ("version",), "1", "exporter", "Always 1."),
)  # fmt: skip

PROCESS = (
    _counter("process_cpu_seconds_total", (), "seconds", "/proc", "Processor time of the exporter."),
    _gauge("process_resident_memory_bytes", (), "bytes", "/proc", "Resident memory of the exporter."),
    _gauge("process_start_time_seconds", (), "seconds since the epoch", "/proc", "When the exporter started."),
    _gauge("process_open_fds", (), "files", "/proc", "Open files of the exporter."),
)
"""Without the prefix, as every process calls them."""

PREFIXED = (*TASKS, *WORKERS, *QUEUES, *BROKER, *EXPORTER)

HOSTNAMED = frozenset(
    {
        "task_sent_total", "task_received_total", "task_started_total", "task_succeeded_total", "task_failed_total",
        "task_rejected_total", "task_revoked_total", "task_retried_total", "task_runtime", "task_queue_wait_time",
    }
)  # fmt: skip
"""The metrics that have a ``hostname`` label as well with ``--task-hostname``."""

SECTIONS = {
    "Tasks": TASKS,
    "Workers": WORKERS,
    "Queues": QUEUES,
    "Broker": BROKER,
    "The exporter itself": EXPORTER,
    "Its process": PROCESS,
}


def markdown() -> str:
    """The tables of the documentation."""
    lines = []
    for title, metrics in SECTIONS.items():
        lines += [
            f"### {title}",
            "",
            "| Metric | Type | Labels | Unit | Source | Meaning |",
            "|---|---|---|---|---|---|",
        ]
        for metric in metrics:
            name = metric.name if metric in PROCESS else f"celery_{metric.name}"
            labels = ", ".join(metric.labels) or "-"
            cells = (f"`{name}`", metric.kind, labels, metric.unit, metric.source, metric.help)
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
