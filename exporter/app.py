"""Puts the parts together and runs them until a signal comes."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from exporter.attribution import QueueGuess
from exporter.births import Births
from exporter.board import Board
from exporter.config import SettingError, Settings
from exporter.inbox import Inbox
from exporter.interfaces import BrokerUnavailableError, EventSource, QueueReader
from exporter.pipeline import Pipeline
from exporter.redact import Redactor
from exporter.report import Report
from exporter.server import Server
from exporter.task_handlers import TaskHandlers
from exporter.task_memory import TaskMemory
from exporter.task_series import SeriesBook
from exporter.tasks import TaskTracker
from exporter.workers import WorkerTable

log = logging.getLogger("exporter")

EXIT_BAD_SETTING = 2
_LEVELS = {"TRACE": "DEBUG", "SUCCESS": "INFO"}
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 0.5
_SWITCH_INTERVAL = 0.0005
_NEW_WORKER_PAUSE = 0.5
_SILENT_WORKER_PAUSE = 10.0


class App:
    """One exporter. :meth:`start` returns at once; :meth:`stop` ends all threads soon."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redact = Redactor.of_urls(settings.broker_url, settings.management_url, settings.broker_password)
        births = Births()
        self.board = Board(settings.queues, max_age=3 * settings.queue_interval + 10, max_queues=settings.max_series)
        self.stopping = threading.Event()
        self._ask_workers = threading.Event()
        self._look_at_queues = threading.Event()
        book = SeriesBook(
            births=births,
            buckets=settings.buckets,
            wait_buckets=settings.wait_buckets,
            static=settings.static_labels,
            limit=settings.max_series,
            by_host=settings.task_hostname,
        )
        self.workers = WorkerTable(
            births=births,
            static=settings.static_labels,
            limit=settings.max_series,
            timeout=settings.worker_timeout,
            missed_heartbeats=settings.missed_heartbeats,
            purge_after=settings.purge_offline_worker_metrics,
            new=self._ask_workers.set,
        )
        memory = TaskMemory(max_tasks=settings.max_tasks, ttl=settings.task_ttl)
        handlers = TaskHandlers(
            book=book,
            guess=QueueGuess(settings.default_queue_name),
            memory=memory,
            grace=settings.late_sent_grace,
            sent_hostname="generic" if settings.generic_hostname_task_sent_metric else None,
            worker_hostname="generic" if settings.generic_hostname_worker_task_metric else None,
            queue_seen=self.board.add_queue,
        )
        self.tracker = TaskTracker(handlers, self.workers)
        self.workers.gone = lambda worker: memory.worker_gone(worker, time.time())
        self.inbox = Inbox(settings.event_buffer_megabytes * 1024 * 1024)
        self.pipeline = Pipeline(self.inbox, self.tracker, self.workers, self.board)
        self.source, self.reader = self._broker()
        self.report = Report(
            births=births,
            tracker=self.tracker,
            workers=self.workers,
            board=self.board,
            pipeline=self.pipeline,
            prefix=settings.metric_prefix,
            static=settings.static_labels,
            broker_counts_consumers=not settings.is_redis,
        )
        self.server = Server(settings.host, settings.port, render=self._render, health=self._health)

    def _broker(self) -> tuple[EventSource, QueueReader]:
        settings = self.settings
        if settings.is_redis:
            from exporter.redis_link import RedisLink  # noqa: PLC0415  (only what the broker needs is loaded)
            from exporter.redis_queues import RedisQueueReader  # noqa: PLC0415
            from exporter.redis_source import RedisEventSource  # noqa: PLC0415

            link = RedisLink(settings)
            source = RedisEventSource(link, self.inbox, settings.event_exchange, settings.accept_content)
            reader = RedisQueueReader(
                link, published_at=self.tracker.memory.published_at, event_client=lambda: source.client_id
            )
            return source, reader
        from exporter.other_brokers import connect  # noqa: PLC0415

        return connect(settings)

    def _render(self, openmetrics: bool, scraper: str, declared: bool) -> bytes:
        return self.report.render(openmetrics=openmetrics, scraper=scraper, declared=declared)

    def _health(self) -> tuple[bool, dict[str, Any]]:
        board = self.board
        well = board.broker_up and board.stream_up
        facts = {
            "status": "ok" if well else "broker unreachable",
            "broker_up": board.broker_up,
            "event_stream_up": board.stream_up,
        }
        return well, facts

    def start(self) -> None:
        """Start every thread."""
        sys.setswitchinterval(_SWITCH_INTERVAL)
        gc.collect()
        gc.freeze()
        loops: dict[str, Callable[[], None]] = {
            "count": lambda: self.pipeline.run(self.stopping),
            "read": self._read_events,
            "queues": self._read_queues,
            "inspect": self._inspect,
            "http": lambda: self.server.serve_forever(poll_interval=0.1),
        }
        for name, loop in loops.items():
            threading.Thread(target=loop, name=name, daemon=True).start()

    def stop(self) -> None:
        """End every thread soon."""
        self.stopping.set()
        self._ask_workers.set()
        self._look_at_queues.set()
        self.server.server_close()

    def _read_events(self) -> None:
        pause = _FIRST_PAUSE
        longest = self.settings.retry_interval or _LONGEST_PAUSE
        told = ""
        while not self.stopping.is_set():
            connects = self.board.stream_connects
            reason = ""
            try:
                self.source.consume(self.pipeline, self.stopping)
            except BrokerUnavailableError as error:
                reason = str(error)
            except Exception as error:  # whatever happens to a connection, the exporter goes on
                reason = f"{type(error).__name__}: {self.redact(error)}"
            self.board.stream_up = False
            self._look_at_queues.set()
            if self.stopping.is_set():
                return
            if self.board.stream_connects != connects:
                pause, told = _FIRST_PAUSE, ""
            if reason != told:
                log.warning("no events: %s; trying again", reason)
                told = reason
            self.stopping.wait(pause)
            pause = min(pause * 2, longest)

    def _read_queues(self) -> None:
        told: str | None = None
        while not self.stopping.is_set():
            pause = self.settings.queue_interval
            try:
                self.board.read_succeeded(self.reader.read(self.board.names))
                reason = ""
            except BrokerUnavailableError as error:
                reason = str(error)
            except Exception as error:
                reason = f"{type(error).__name__}: {self.redact(error)}"
            if reason:
                self.board.read_failed(reason)
                pause = min(pause, 1.0)
            if reason != told:
                if reason:
                    log.warning("queues cannot be read: %s", reason)
                else:
                    log.info("broker reached, queues read")
                told = reason
            self._look_at_queues.wait(pause)
            self._look_at_queues.clear()

    def _inspect(self) -> None:
        from exporter.inspection import Inspector  # noqa: PLC0415  (kombu is loaded beside the first events)

        inspector = Inspector(self.settings)
        silent_pause = _FIRST_PAUSE
        while not self.stopping.is_set():
            self._ask_workers.clear()
            alive = {worker.node for worker in self.workers.alive()}
            if alive:
                try:
                    answers = inspector.ask(alive)
                except BrokerUnavailableError as error:
                    log.debug("%s", error)
                    answers = []
                if answers:
                    self.workers.learn(answers)
                    self.board.inspect_timestamp = time.time()
                    for answer in answers:
                        for queue in answer.queues or ():
                            self.board.add_queue(queue)
            silent = any(worker.queues is None for worker in self.workers.alive())
            interval = self.settings.inspect_interval
            # A worker that has just come up may not listen yet.
            silent_pause = min(silent_pause * 2, _SILENT_WORKER_PAUSE) if silent else _FIRST_PAUSE
            self._ask_workers.wait(min(interval, silent_pause) if silent else interval)
            # Workers tend to come in groups: let them all appear, and let them take their place at the broker.
            self.stopping.wait(min(_NEW_WORKER_PAUSE, interval))


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    level = settings.log_level.upper()
    logging.basicConfig(
        level=_LEVELS.get(level, level),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("kombu", "amqp", "redis", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        app = App(settings)
    except SettingError as error:
        print(f"celery-exporter: {error}", file=sys.stderr)
        return EXIT_BAD_SETTING
    except OSError as error:
        print(
            f"celery-exporter: --host/--port: cannot listen on {settings.host}:{settings.port}: "
            f"{error.strerror or error}; choose a free port",
            file=sys.stderr,
        )
        return EXIT_BAD_SETTING
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    app.start()
    log.info("listening on %s:%d", settings.host, app.server.server_port)
    ended.wait()
    log.info("stopping")
    app.stop()
    return 0
