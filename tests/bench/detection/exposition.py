"""What the exporter and the rest of the stack would have shown of a simulated fleet at one scrape."""

from __future__ import annotations

from tests.bench.detection.fleet import HEARTBEAT_LOST_AFTER, STEP, Fleet, Worker
from tests.bench.detection.series import Series

# Targets that are there in any stack, and the facts that its own parts tell of themselves.
TARGETS = {
    "celery": "celery-exporter:9808",
    "prometheus": "127.0.0.1:9090",
    "alertmanager": "alertmanager:9093",
    "inbox": "inbox:9199",
    "beat": "beat:8000",
}
EPOCH = 0.0
VISIBILITY_TIMEOUT = 3600.0
MEMORY_MAX = 256e6
BEAT_ENTRIES = {"orders.sweep": 60.0, "reports.nightly": 3600.0}

# The counters that carry the same labels in every task series: ours and upstream's names for them.
PLAIN = ("sent", "received", "started", "succeeded", "retried", "rejected", "revoked")


def scrape(fleet: Fleet, series: Series) -> None:
    """Adds one scrape of everything, and takes back what a target that is down would not have answered."""
    for job, instance in TARGETS.items():
        series.set("up", 0.0 if job in fleet.down else 1.0, job=job, instance=instance)
    if "absent" in fleet.down:
        series.drop({"job": "celery"})
    _surroundings(fleet, series)
    if "celery" not in fleet.down and "absent" not in fleet.down:
        _exporter(fleet, series)
    if "beat" not in fleet.down:
        _beat(fleet, series)
    series.scraped()


def _exporter(fleet: Fleet, series: Series) -> None:
    labels = {"job": "celery", "instance": TARGETS["celery"]}
    broker_up = "broker" not in fleet.down
    series.set("celery_broker_up", float(broker_up), **labels)
    series.set("celery_exporter_event_stream_up", float(broker_up and "events" not in fleet.down), **labels)
    _tasks(fleet, series, labels)
    for worker in fleet.workers:
        _worker(fleet, worker, series, labels)
    seen = fleet.extra.get("last_event", fleet.now if broker_up else fleet.extra.get("broker_gone", fleet.now))
    series.set("celery_exporter_event_last_timestamp_seconds", EPOCH + seen, **labels)
    series.set("celery_exporter_event_stream_connects_total", fleet.extra.get("connects", 1.0), **labels)
    series.set("celery_exporter_tasks_tracked", sum(map(fleet.length, fleet.queues)), **labels)
    series.set("celery_exporter_unattributed_total", 0.0, **labels)
    for reason in ("malformed", "oversized"):
        series.set("celery_exporter_events_dropped_total", fleet.extra.get("dropped", 0.0), reason=reason, **labels)
    series.set("celery_exporter_series_dropped_total", fleet.extra.get("series_dropped", 0.0), metric="x", **labels)
    for kind in ("worker-heartbeat", "task-started", "task-sent"):
        series.set("celery_exporter_events_total", fleet.now if broker_up else 0.0, type=kind, **labels)
    if broker_up:
        series.set("celery_exporter_queues_read_timestamp_seconds", EPOCH + fleet.now, **labels)
        series.set("celery_exporter_inspect_timestamp_seconds", EPOCH + fleet.now, **labels)
        _queues(fleet, series, labels)
        _broker(fleet, series, labels)


def _tasks(fleet: Fleet, series: Series, labels: dict[str, str]) -> None:
    totals: dict[tuple[str, str, str], float] = {}
    for (what, name, queue, _detail), value in fleet.counters.items():
        totals[what, name, queue] = totals.get((what, name, queue), 0.0) + value
    for task in fleet.tasks:
        where = {"name": task.name, "queue_name": task.queue, **labels}

        def total(what: str, name: str = task.name, queue: str = task.queue) -> float:
            return totals.get((what, name, queue), 0.0)

        for what in PLAIN:
            series.set(f"celery_task_{what}_total", total(what), **where)
        series.set("celery_task_failures_total", total("failed"), **where)
        for outcome in ("succeeded", "failed", "rejected", "revoked"):
            series.set("celery_task_finished_total", total(outcome), outcome=outcome, **where)
        for kind in ("first", "retry", "redelivered"):
            value = fleet.counters.get(("attempts", task.name, task.queue, kind), 0.0)
            series.set("celery_task_attempts_total", value, kind=kind, **where)
        for requeue in ("true", "false"):
            value = fleet.counters.get(("rejected", task.name, task.queue, requeue), 0.0)
            series.set("celery_task_rejections_total", value, requeue=requeue, **where)
        for reason in ("expired", "terminated", "revoked"):
            value = fleet.counters.get(("revoked", task.name, task.queue, reason), 0.0)
            series.set("celery_task_revocations_total", value, reason=reason, **where)
        since = fleet.stuck.get((task.name, task.queue), fleet.hung_since.get(task.queue))
        longest = min(task.seconds, STEP) if since is None else fleet.now - since
        series.set("celery_task_longest_running_seconds", longest, **where)
    # Exceptions: born at 0 one scrape before their first count, as the exporter holds them back.
    for (what, name, queue, detail), value in fleet.counters.items():
        metric = {"failed": "celery_task_failed_total", "retried": "celery_task_retries_total"}.get(what)
        if metric and detail:
            series.set(metric, value, name=name, queue_name=queue, exception=detail, **labels)
    for metric, histograms in (
        ("celery_task_runtime", fleet.runtimes),
        ("celery_task_queue_wait_time", fleet.waits),
    ):
        for (name, queue), histogram in histograms.items():
            where = {"name": name, "queue_name": queue, **labels}
            counts = histogram.counts or [0.0] * len(histogram.bounds)
            for bound, count in zip(histogram.bounds, counts, strict=True):
                series.set(f"{metric}_bucket", count, le=f"{bound:g}" if bound % 1 else f"{bound:.1f}", **where)
            series.set(f"{metric}_bucket", histogram.total, le="+Inf", **where)
            series.set(f"{metric}_count", histogram.total, **where)
            series.set(f"{metric}_sum", histogram.sum, **where)


def _worker(fleet: Fleet, worker: Worker, series: Series, labels: dict[str, str]) -> None:
    silent = fleet.now - worker.since
    alive = worker.state not in ("lost", "stopped") or (worker.state == "lost" and silent < HEARTBEAT_LOST_AFTER)
    if worker.state == "stopped" and silent > 600:
        return
    where = {"worker": worker.name, "hostname": worker.name.split("@")[1], **labels}
    series.set("celery_worker_up", float(alive), **where)
    series.set("celery_worker_lost", float(not alive and worker.state == "lost"), **where)
    last = fleet.now if worker.state not in ("lost", "stopped") else worker.since
    series.set("celery_worker_last_heartbeat_timestamp_seconds", EPOCH + last, **where)
    series.set("celery_worker_pool_size", float(worker.concurrency), **where)
    working = worker.state in ("up", "hung")
    shares = sum(fleet.running.get(q, 0.0) / max(len(fleet.consumers(q)), 1) for q in worker.queues)
    active = float(worker.concurrency) if worker.state == "hung" else shares if working else 0.0
    series.set("celery_worker_tasks_active", min(active, float(worker.concurrency)), **where)
    held = sum(fleet.held.get(q, 0.0) / max(len(fleet.consumers(q)), 1) for q in worker.queues) if working else 0.0
    series.set("celery_worker_reserved", held, **where)
    series.set("celery_worker_processed_total", worker.processed, **where)
    series.set("celery_worker_events_lost_total", worker.unseen if worker.events else 0.0, **where)
    series.set("celery_worker_task_events_disabled", float(not worker.events), **where)
    series.set("celery_worker_clock_skew_seconds", fleet.extra.get(f"skew {worker.name}", 0.0), **where)


def _queues(fleet: Fleet, series: Series, labels: dict[str, str]) -> None:
    for queue in fleet.queues:
        where = {"queue_name": queue, **labels}
        length, oldest, workers = fleet.length(queue), fleet.oldest(queue), fleet.consumers(queue)
        catatonic = [w for w in fleet.workers if queue in w.queues and w.state == "catatonic"]
        series.set("celery_queue_length", length, **where)
        series.set("celery_queue_oldest_age_seconds", oldest or 0.0, **where)
        series.set("celery_queue_oldest_age_is_exact", 1.0, **where)
        unacked = fleet.running.get(queue, 0.0) + fleet.held.get(queue, 0.0)
        series.set("celery_queue_unacked", unacked, **where)
        series.set("celery_queue_eta", 0.0, **where)
        since = fleet.held_since.get(queue, fleet.hung_since.get(queue))
        series.set("celery_queue_unacked_oldest_age_seconds", fleet.now - since if since else 0.0, **where)
        for priority in sorted({task.priority for task in fleet.tasks if task.queue == queue}):
            by = {"priority": priority, **where}
            series.set("celery_queue_length_by_priority", fleet.length(queue, priority), **by)
            series.set("celery_queue_oldest_age_by_priority_seconds", fleet.oldest(queue, priority) or 0.0, **by)
        answering = len(workers) + len(catatonic)
        series.set("celery_active_consumer_count", float(answering), **where)
        series.set("celery_active_worker_count", float(answering), **where)
        series.set("celery_active_process_count", float(sum(w.concurrency for w in workers + catatonic)), **where)


def _broker(fleet: Fleet, series: Series, labels: dict[str, str]) -> None:
    policy = "allkeys-lru" if fleet.extra.get("evicting") else "noeviction"
    series.set("celery_broker_memory_used_bytes", fleet.extra.get("memory", 20e6), **labels)
    series.set("celery_broker_memory_max_bytes", MEMORY_MAX, **labels)
    series.set("celery_broker_evicted_keys_total", fleet.extra.get("evicted", 0.0), **labels)
    series.set("celery_broker_eviction_policy", 1.0, policy=policy, **labels)
    series.set("celery_broker_visibility_timeout_seconds", VISIBILITY_TIMEOUT, **labels)
    series.set("celery_broker_pidbox_keys", fleet.extra.get("pidbox", 2.0), **labels)
    series.set("celery_broker_events_output_buffer_bytes", fleet.extra.get("buffer", 0.0), **labels)
    series.set("celery_broker_connected_clients", 20.0, **labels)


def _beat(fleet: Fleet, series: Series) -> None:
    labels = {"job": "beat", "instance": TARGETS["beat"]}
    silent = fleet.extra.get("beat_silent")
    series.set("beat_last_tick_timestamp_seconds", EPOCH + (silent or fleet.now), **labels)
    for entry, period in BEAT_ENTRIES.items():
        missed = fleet.extra.get(f"missed {entry}")
        ran = (missed or silent or fleet.now) // period * period
        series.set("beat_entry_last_run_timestamp_seconds", EPOCH + ran, entry=entry, **labels)
        series.set("beat_entry_interval_seconds", period, entry=entry, **labels)


def _surroundings(fleet: Fleet, series: Series) -> None:
    ours = {"job": "prometheus", "instance": TARGETS["prometheus"]}
    series.set("prometheus_tsdb_head_series", 5000.0 + fleet.extra.get("series", 0.0), **ours)
    failing = fleet.extra.get("rule_failures", 0.0)
    series.set("prometheus_rule_evaluation_failures_total", failing, rule_group="g", **ours)
    series.set("prometheus_rule_evaluations_total", fleet.now, rule_group="g", **ours)
    series.set("prometheus_rule_group_last_duration_seconds", 0.05, rule_group="g", **ours)
    series.set("prometheus_rule_group_interval_seconds", STEP, rule_group="g", **ours)
    series.set("prometheus_config_last_reload_successful", 1.0, **ours)
    series.set("prometheus_notifications_alertmanagers_discovered", 1.0, **ours)
    series.set("prometheus_notifications_sent_total", fleet.now, alertmanager="a", **ours)
    dropped = fleet.extra.get("notifications_dropped", 0.0)
    series.set("prometheus_notifications_dropped_total", dropped, **ours)
    series.set("prometheus_notifications_errors_total", dropped, alertmanager="a", **ours)
    limited = fleet.extra.get("sample_limit_exceeded", 0.0)
    series.set("prometheus_target_scrapes_exceeded_sample_limit_total", limited, **ours)
    for job, instance in TARGETS.items():
        series.set("scrape_samples_scraped", 500.0, job=job, instance=instance)
        series.set("scrape_samples_post_metric_relabeling", 500.0, job=job, instance=instance)
        added = fleet.extra.get("series_added", 0.0) if job == "celery" else 0.0
        series.set("scrape_series_added", added, job=job, instance=instance)
    if "alertmanager" not in fleet.down:
        theirs = {"job": "alertmanager", "instance": TARGETS["alertmanager"]}
        failed = fleet.extra.get("notifications_failed", 0.0)
        series.set("alertmanager_notifications_total", fleet.now, integration="webhook", **theirs)
        series.set("alertmanager_notifications_failed_total", failed, integration="webhook", **theirs)
        series.set("alertmanager_config_last_reload_successful", 1.0, **theirs)
