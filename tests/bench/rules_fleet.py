"""A made-up fleet's exposition: 50 queues, 500 tasks, 200 workers, as the exporter and the workers would show it."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler

QUEUES, TASKS, WORKERS = 50, 500, 200
# In-process series: a worker node runs the tasks of one queue, ten kinds of them.
TASKS_OF_A_WORKER = 10
RUNTIME_BOUNDS = (*map(str, (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)), "+Inf")
WAIT_BOUNDS = (*map(str, (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)), "+Inf")
STARTED = time.time()


def _exporter_lines() -> list[tuple[str, str]]:
    """(series, kind) where the kind says how the value moves: c a counter, g a level, t a time, 1 or 0 a constant."""
    lines = [("celery_broker_up", "1"), ("celery_exporter_event_stream_up", "1")]
    lines += [(f"celery_exporter_{what}_timestamp_seconds", "t") for what in ("event_last", "queues_read", "inspect")]
    lines += [("celery_broker_memory_used_bytes", "g"), ("celery_broker_memory_max_bytes", "c")]
    lines += [
        ("celery_broker_visibility_timeout_seconds", "h"),
        ('celery_broker_eviction_policy{policy="noeviction"}', "1"),
    ]
    lines += [("celery_broker_evicted_keys_total", "0"), ("celery_workers_lost_total", "0")]
    for number in range(TASKS):
        where = f'name="app.tasks.task_{number}",queue_name="queue_{number % QUEUES}"'
        for what in ("sent", "received", "started", "succeeded", "retried", "rejected", "revoked"):
            lines.append((f"celery_task_{what}_total{{{where}}}", "c"))
        lines.append((f"celery_task_failures_total{{{where}}}", "c"))
        lines.append((f"celery_task_longest_running_seconds{{{where}}}", "g"))
        for metric, label, values in (
            ("finished", "outcome", ("succeeded", "failed", "rejected", "revoked")),
            ("attempts", "kind", ("first", "retry", "redelivered")),
            ("rejections", "requeue", ("true", "false")),
            ("revocations", "reason", ("expired", "terminated", "revoked")),
            ("failed", "exception", ("ValueError", "TimeoutError")),
            ("retries", "exception", ("TimeoutError",)),
        ):
            lines += [(f'celery_task_{metric}_total{{{where},{label}="{value}"}}', "c") for value in values]
        for metric, bounds in (("runtime", RUNTIME_BOUNDS), ("queue_wait_time", WAIT_BOUNDS)):
            lines += [(f'celery_task_{metric}_bucket{{{where},le="{bound}"}}', "c") for bound in bounds]
            lines += [(f"celery_task_{metric}_{part}{{{where}}}", "c") for part in ("sum", "count")]
    for number in range(QUEUES):
        where = f'queue_name="queue_{number}"'
        for what in ("length", "unacked", "eta", "oldest_age_seconds", "unacked_oldest_age_seconds"):
            lines.append((f"celery_queue_{what}{{{where}}}", "g"))
        lines.append((f"celery_queue_oldest_age_is_exact{{{where}}}", "1"))
        for priority in ("0", "3", "6", "9"):
            for what in ("length_by_priority", "oldest_age_by_priority_seconds"):
                lines.append((f'celery_queue_{what}{{{where},priority="{priority}"}}', "g"))
        for what in ("consumer", "worker", "process"):
            lines.append((f"celery_active_{what}_count{{{where}}}", "g"))
    for number in range(WORKERS):
        where = f'hostname="host-{number}",worker="worker@host-{number}"'
        lines += [(f"celery_worker_{what}{{{where}}}", "1") for what in ("up", "pool_size")]
        lines += [(f"celery_worker_{what}{{{where}}}", "g") for what in ("tasks_active", "reserved")]
        lines += [
            (f"celery_worker_{what}{{{where}}}", "0") for what in ("lost", "task_events_disabled", "clock_skew_seconds")
        ]
        lines.append((f"celery_worker_last_heartbeat_timestamp_seconds{{{where}}}", "t"))
        lines += [
            (f"celery_worker_{what}_total{{{where}}}", kind)
            for what, kind in (("processed", "c"), ("events_lost", "0"))
        ]
    return lines


def _worker_lines() -> list[tuple[str, str]]:
    lines = []
    for number in range(WORKERS):
        own = f'instance="worker-{number}:8000",queue="queue_{number % QUEUES}"'
        lines.append((f"worker_inflight_jobs{{{own}}}", "g"))
        lines += [(f'worker_queue_wait_seconds_bucket{{{own},le="{bound}"}}', "c") for bound in WAIT_BOUNDS]
        lines += [(f"worker_queue_wait_seconds_{part}{{{own}}}", "c") for part in ("sum", "count")]
        for task in range(TASKS_OF_A_WORKER):
            where = f'{own},task="app.tasks.task_{number % QUEUES + task * QUEUES}"'
            for status in ("success", "failure", "retry"):
                lines.append((f'worker_jobs_total{{{where},status="{status}"}}', "c"))
            lines += [(f'worker_exec_seconds_bucket{{{where},le="{bound}"}}', "c") for bound in RUNTIME_BOUNDS]
            lines += [(f"worker_exec_seconds_{part}{{{where}}}", "c") for part in ("sum", "count")]
    return lines


PAGES = {"/exporter": _exporter_lines(), "/workers": _worker_lines()}


def page(path: str) -> str:
    """The exposition at `path` now. Counters go up by some ten a second; levels stand still."""
    now = time.time()
    values = {"c": f"{(now - STARTED) * 10:.1f}", "g": "3", "t": f"{now:.3f}", "1": "1", "0": "0", "h": "3600"}
    return "".join(f"{series} {values[kind]}\n" for series, kind in PAGES[path])


class Handler(BaseHTTPRequestHandler):
    """Serves the pages."""

    def do_GET(self) -> None:
        body = page(self.path).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing: a line for each scrape would hide the table."""
