"""Writes one scrape from what the other threads have counted, without waiting for any of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from importlib import metadata

from exporter import catalogue, process
from exporter.births import Births
from exporter.board import Board
from exporter.catalogue import Metric
from exporter.events import TYPES
from exporter.exposition import CounterRow, GaugeRow, Page, with_label
from exporter.interfaces import BrokerFacts, QueueState
from exporter.labels import joined, pairs
from exporter.pipeline import Pipeline
from exporter.report_tasks import write_tasks
from exporter.tasks import TaskTracker
from exporter.workers import Life, Worker, WorkerTable

_BY_NAME = {metric.name: metric for metric in (*catalogue.PREFIXED, *catalogue.PROCESS)}
DISTRIBUTION = "celery-observability-stack"


def version() -> str:
    """The installed version; ``unknown`` when run from a bare checkout."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


class Report:
    """Renders /metrics."""

    def __init__(
        self,
        *,
        births: Births,
        tracker: TaskTracker,
        workers: WorkerTable,
        board: Board,
        pipeline: Pipeline,
        prefix: str,
        static: Mapping[str, str],
        broker_counts_consumers: bool,
    ) -> None:
        self._births = births
        self._tracker = tracker
        self._workers = workers
        self._board = board
        self._pipeline = pipeline
        self._prefix = prefix
        self._static = pairs(static)
        self._broker_counts_consumers = broker_counts_consumers
        self._version = version()
        self._number, self._born = births.next()
        self._lock = threading.Lock()

    def render(self, *, openmetrics: bool, scraper: str, declared: bool) -> bytes:
        """Return the page for one scraper (see :mod:`exporter.births` for what the scraper has to do with it)."""
        with self._lock:
            shown = self._births.scraped_by(scraper, time.monotonic(), declared=declared)
        page = Page(openmetrics=openmetrics, prefix=self._prefix, shown=shown)
        write_tasks(page, self._tracker.handlers)
        self._write_workers(page)
        self._write_queues(page)
        self._write_broker(page)
        self._write_exporter(page)
        for name, value in process.read().items():
            metric = _BY_NAME[name]
            if metric.kind == "counter":
                page.counters(metric, [("", value, 0, self._born)], bare=True)
            else:
                page.gauges(metric, [("", value)], bare=True)
        return page.text()

    def _labels(self, **values: str) -> str:
        return joined(pairs(values), self._static)

    def _one(self, page: Page, name: str, value: float | None) -> None:
        page.gauges(_BY_NAME[name], [] if value is None else [(self._static, value)])

    def _total(self, page: Page, name: str, value: float) -> None:
        page.counters(_BY_NAME[name], [(self._static, value, self._number, self._born)])

    def _write_workers(self, page: Page) -> None:
        known = [w for w in list(self._workers.workers.values()) if w.life is not Life.UNKNOWN]
        alive = Life.ALIVE

        def gauge(name: str, rows: Iterable[GaugeRow]) -> None:
            page.gauges(_BY_NAME[name], rows)

        gauge("worker_up", [(w.labels, int(w.life is alive)) for w in known])
        gauge("worker_tasks_active", [(w.labels, w.active) for w in known])
        gauge("worker_lost", [(w.labels, int(w.life is Life.LOST)) for w in known])
        gauge(
            "worker_last_heartbeat_timestamp_seconds",
            [(w.labels, round(w.heartbeat_at, 3)) for w in known if w.heartbeat_at is not None],
        )
        live = [w for w in known if w.life is alive]
        gauge("worker_pool_size", [(w.labels, w.pool_size) for w in live if w.pool_size is not None])
        gauge("worker_info", [(_info_labels(w), 1) for w in live])
        page.counters(
            _BY_NAME["worker_processed_total"],
            [(w.labels, w.processed, 0, 0.0) for w in known if w.processed is not None],
        )
        page.counters(
            _BY_NAME["worker_events_lost_total"], [(w.labels, w.events_lost, w.number, w.born) for w in known]
        )
        gauge("worker_task_events_disabled", [(w.labels, int(w.events_disabled)) for w in live])
        skews = [(w.labels, w.skew) for w in live]
        gauge("worker_clock_skew_seconds", [(labels, round(s, 6)) for labels, s in skews if s is not None])
        gauge("worker_reserved", [(w.labels, max(w.reserved, 0)) for w in live])
        self._total(page, "workers_lost_total", self._workers.lost_total)
        self._total(page, "worker_children_lost_total", self._tracker.handlers.children_lost)

    def _write_queues(self, page: Page) -> None:
        reading = self._board.reading
        states: dict[str, QueueState] = reading.queues if reading is not None else {}
        names = self._board.names if reading is not None else []
        labels = {name: self._labels(queue_name=name) for name in {*names, *states}}

        def column(metric: str, pick: str) -> None:
            rows = [(labels[name], getattr(state, pick)) for name, state in states.items()]
            page.gauges(_BY_NAME[metric], [(text, value) for text, value in rows if value is not None])

        def by_priority(metric: str, pick: str) -> None:
            page.gauges(
                _BY_NAME[metric],
                [
                    (with_label(labels[name], "priority", str(step)), value)
                    for name, state in states.items()
                    for step, value in getattr(state, pick).items()
                ],
            )

        column("queue_length", "ready")
        by_priority("queue_length_by_priority", "ready_by_priority")
        column("queue_oldest_age_seconds", "oldest_age")
        by_priority("queue_oldest_age_by_priority_seconds", "oldest_age_by_priority")
        page.gauges(
            _BY_NAME["queue_oldest_age_is_exact"],
            [(labels[n], int(s.oldest_age_exact)) for n, s in states.items() if s.oldest_age is not None],
        )
        column("queue_unacked", "unacked")
        column("queue_eta", "eta")
        column("queue_unacked_oldest_age_seconds", "unacked_oldest_age")
        workers, processes = self._readers(names)
        if self._broker_counts_consumers:
            column("active_consumer_count", "consumers")
        else:
            page.gauges(_BY_NAME["active_consumer_count"], [(labels[n], c) for n, c in workers.items()])
        page.gauges(_BY_NAME["active_worker_count"], [(labels[n], c) for n, c in workers.items()])
        page.gauges(_BY_NAME["active_process_count"], [(labels[n], c) for n, c in processes.items()])

    def _readers(self, names: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
        """How many live workers read each queue, and how many tasks they can run.

        While some live worker has not said what it reads, a queue without a reader is left out: it may have one.
        """
        alive = self._workers.alive()
        all_answered = all(worker.queues is not None for worker in alive)
        workers = dict.fromkeys(names, 0) if all_answered else {}
        processes = dict(workers)
        wanted = set(names)
        for worker in alive:
            for queue in worker.queues or ():
                if queue in wanted:
                    workers[queue] = workers.get(queue, 0) + 1
                    processes[queue] = processes.get(queue, 0) + (worker.pool_size or 0)
        return workers, processes

    def _write_broker(self, page: Page) -> None:
        reading = self._board.reading
        facts = reading.facts if reading is not None else BrokerFacts()
        up = self._board.broker_up and reading is not None
        self._one(page, "broker_up", int(up))
        info = self._labels(transport=facts.transport, version=facts.version)
        page.gauges(_BY_NAME["broker_info"], [(info, 1)] if up else [])
        self._one(page, "broker_memory_used_bytes", facts.memory_used_bytes)
        self._one(page, "broker_memory_max_bytes", facts.memory_max_bytes)
        evicted = facts.evicted_keys
        page.counters(
            _BY_NAME["broker_evicted_keys_total"], [] if evicted is None else [(self._static, evicted, 0, 0.0)]
        )
        policy = facts.eviction_policy
        page.gauges(_BY_NAME["broker_eviction_policy"], [] if policy is None else [(self._labels(policy=policy), 1)])
        self._one(page, "broker_visibility_timeout_seconds", facts.visibility_timeout_seconds)
        self._one(page, "broker_pidbox_keys", facts.pidbox_keys)
        self._one(page, "broker_events_output_buffer_bytes", facts.events_output_buffer_bytes)
        self._one(page, "broker_connected_clients", facts.connected_clients)

    def _write_exporter(self, page: Page) -> None:
        board, handlers = self._board, self._tracker.handlers
        memory = handlers.memory

        def by_label(metric: str, label: str, counts: Mapping[str, int]) -> None:
            rows: list[CounterRow] = [
                (self._labels(**{label: key}), value, 0, self._born) for key, value in counts.items()
            ]
            page.counters(_metric(metric), rows)

        by_label("exporter_events_total", "type", {tag: self._tracker.by_kind[kind] for kind, tag in TYPES})
        by_label("exporter_events_dropped_total", "reason", dict(self._pipeline.dropped_by))
        self._one(page, "exporter_event_last_timestamp_seconds", _rounded(board.event_timestamp))
        self._one(page, "exporter_event_stream_up", int(board.stream_up))
        self._total(page, "exporter_event_stream_connects_total", board.stream_connects)
        self._one(page, "exporter_event_buffer_bytes", self._pipeline.inbox.size)
        self._one(page, "exporter_queues_read_timestamp_seconds", _rounded(board.queues_read_timestamp))
        self._one(page, "exporter_inspect_timestamp_seconds", _rounded(board.inspect_timestamp))
        refused = {"task": 0, "worker": self._workers.refused, "queue": board.refused}
        by_label("exporter_series_dropped_total", "metric", refused | dict(handlers.book.refused))
        self._total(page, "exporter_unattributed_total", handlers.unattributed)
        self._total(page, "exporter_untracked_total", memory.untracked)
        self._total(page, "exporter_duplicate_events_total", handlers.duplicates)
        self._total(page, "exporter_negative_waits_total", handlers.negative_waits)
        tracked = len(memory.waiting) + len(memory.running) + len(handlers.held.tasks)
        self._one(page, "exporter_tasks_tracked", tracked)
        page.gauges(_BY_NAME["exporter_build_info"], [(self._labels(version=self._version), 1)])


def _metric(name: str) -> Metric:
    return _BY_NAME[name]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _info_labels(worker: Worker) -> str:
    more = pairs({"pool": worker.pool, "software": worker.software, "version": worker.version})
    return joined(worker.labels, more)
