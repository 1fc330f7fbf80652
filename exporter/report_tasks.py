"""The task series of a scrape: by far the most lines, hence written column by column."""

from __future__ import annotations

import time
from collections.abc import Callable
from operator import attrgetter

from exporter import catalogue
from exporter.exposition import CounterRow, Page
from exporter.labels import pairs
from exporter.task_handlers import TaskHandlers
from exporter.task_series import HostSeries, TaskSeries

_BY_NAME = {metric.name: metric for metric in catalogue.TASKS}

_PER_HOST = ("sent", "received", "started", "succeeded", "rejected", "revoked", "retried")

_Count = Callable[[TaskSeries], int]

_SPLIT: dict[str, tuple[tuple[str, str, _Count], ...]] = {
    "task_finished_total": (
        ("outcome", "succeeded", lambda s: s.total("succeeded") - s.again_succeeded),
        ("outcome", "failed", lambda s: s.total("failed") - s.again_failed),
        ("outcome", "rejected", lambda s: s.rejections_dropped - s.again_rejected),
        ("outcome", "revoked", lambda s: s.total("revoked") - s.again_revoked),
    ),
    "task_attempts_total": (
        ("kind", "first", lambda s: s.total("started") - s.attempts_retry - s.attempts_redelivered),
        ("kind", "retry", attrgetter("attempts_retry")),
        ("kind", "redelivered", attrgetter("attempts_redelivered")),
    ),
    "task_rejections_total": (
        ("requeue", "true", attrgetter("rejections_requeued")),
        ("requeue", "false", attrgetter("rejections_dropped")),
    ),
    "task_revocations_total": (
        ("reason", "expired", attrgetter("revocations_expired")),
        ("reason", "terminated", attrgetter("revocations_terminated")),
        ("reason", "revoked", attrgetter("revocations_revoked")),
    ),
}
"""Our own counters: metric -> label, its value, and where the count is (some are what is left of others)."""


def write_tasks(page: Page, handlers: TaskHandlers) -> None:
    """Write every metric of :data:`exporter.catalogue.TASKS`."""
    series = list(handlers.book.series.values())
    hosts = [host for one in series for host in list(one.hosts.values())]
    for name in _PER_HOST:
        pick = attrgetter(name)
        page.counters(_BY_NAME[f"task_{name}_total"], [(h.labels, pick(h), h.number, h.born) for h in hosts])
        if name == "succeeded":
            page.counters(_BY_NAME["task_failed_total"], _failed(hosts))
    page.histograms(
        _BY_NAME["task_runtime"],
        [(h.labels, h.runtime, h.number, h.born) for h in hosts],
        handlers.book.buckets,
    )
    page.histograms(
        _BY_NAME["task_queue_wait_time"],
        [(h.labels, h.wait, h.number, h.born) for h in hosts],
        handlers.book.wait_buckets,
    )
    page.counters(_BY_NAME["task_failures_total"], [(s.labels, s.failures, s.number, s.born) for s in series])
    for metric, parts in _SPLIT.items():
        page.counters(_BY_NAME[metric], _split(series, parts))
    page.counters(
        _BY_NAME["task_retries_total"],
        [(e.labels, e.value, e.number, e.born) for s in series for e in list(s.retry_errors.values())],
    )
    oldest = handlers.memory.longest_running(time.monotonic())
    page.gauges(_BY_NAME["task_longest_running_seconds"], [(s.labels, round(oldest.get(s, 0.0), 3)) for s in series])


def _failed(hosts: list[HostSeries]) -> list[CounterRow]:
    """The empty class is there from the start, as upstream has it, so that a task without failures has a 0."""
    rows: list[CounterRow] = []
    for host in hosts:
        rows.append((f'{host.labels},exception=""', 0, host.number, host.born))
        rows += [(e.labels, e.value, e.number, e.born) for e in list(host.errors.values())]
    return rows


def _split(series: list[TaskSeries], parts: tuple[tuple[str, str, _Count], ...]) -> list[CounterRow]:
    rows: list[CounterRow] = []
    for label, value, count in parts:
        end = "," + pairs({label: value})
        rows += [(s.labels + end, count(s), s.number, s.born) for s in series]
    return rows
