"""Every query that the guides print, as printed: pasted into this stack, each has to return data."""

from __future__ import annotations

GUIDE_QUERIES: tuple[str, ...] = (
    # Metrics of workers: recorded signals, and what is recorded.
    "job:throughput:rate5m",
    "job:failure_rate:5m",
    "job:exec_p99:5m",
    "sum(rate(celery_task_succeeded_total[5m])) by (queue)",
    "sum(rate(celery_task_failed_total[5m])) by (queue) / (sum(rate(celery_task_succeeded_total[5m])) by (queue)"
    " + sum(rate(celery_task_failed_total[5m])) by (queue))",
    "histogram_quantile(0.99, sum(rate(celery_task_runtime_seconds_bucket[5m])) by (le, queue))",
    'topk(10, count by (__name__)({__name__=~".+"}))',
    # What direct instrumentation exposes.
    "worker_jobs_total",
    "worker_queue_depth",
    "worker_inflight_jobs",
    "worker_queue_wait_seconds_bucket",
    "worker_exec_seconds_bucket",
    # Instrumenting with an exporter.
    'sum by (task_name) (rate(celery_tasks_total{state="SUCCESS"}[5m]))',
    'up{job="celery"}',
    "celery_worker_up",
    # Flower and Prometheus.
    "rate(celery_tasks_total[5m])",
    'sum(rate(celery_tasks_total{status="success"}[5m])) / sum(rate(celery_tasks_total[5m]))',
    "rate(celery_task_duration_seconds_sum[5m]) / rate(celery_task_duration_seconds_count[5m])",
    "celery_queue_length",
    "sum(celery_active_tasks)",
    # The conditions of its alerts, without the thresholds that a healthy stack does not pass.
    'sum(rate(celery_tasks_total{status="failure"}[5m])) / sum(rate(celery_tasks_total[5m]))',
    "celery_workers_online",
)
