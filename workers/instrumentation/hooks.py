"""Connects the instrumentation to Celery's signals. Nothing of prometheus_client is imported before it has to be."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import signals

from workers.instrumentation import directory
from workers.settings import SettingsError, refuse

if TYPE_CHECKING:
    from workers.instrumentation.series import Series

#: A child that died could not count its task; its parent does.
LOST = (WorkerLostError, TimeLimitExceeded)

_series: Series | None = None


def series() -> Series | None:
    """The series of this process, or None where it is not an instrumented worker's."""
    return _series


def connect(app: Any, buckets: Path | None) -> None:
    """Have the worker or beat that this process becomes, if it does, observe itself."""

    def on_worker_init(sender: Any = None, **_: Any) -> None:
        if sender.app is app or sender.app.main == app.main:
            _or_refuse(lambda: _observe_worker(sender, app, buckets))

    def on_beat_init(sender: Any = None, **_: Any) -> None:
        if sender.app is app or sender.app.main == app.main:
            _or_refuse(lambda: _observe_beat(sender, app))

    name = f"workers.instrumentation.{id(app)}"
    signals.worker_init.connect(on_worker_init, weak=False, dispatch_uid=f"{name}.worker")
    signals.beat_init.connect(on_beat_init, weak=False, dispatch_uid=f"{name}.beat")
    if app.steps is not None:
        from workers.instrumentation.eventloop import Watch  # noqa: PLC0415

        app.steps["consumer"].add(Watch)


def _or_refuse(observe: Callable[[], None]) -> None:
    try:
        observe()
    except SettingsError as error:
        refuse(error)


def _observe_worker(worker: Any, app: Any, buckets_file: Path | None) -> None:
    global _series  # noqa: PLW0603 - the handlers of one process count in one set of series
    folder = directory.claim()
    from workers.instrumentation import buckets as bucket_tables  # noqa: PLC0415
    from workers.instrumentation.broker import Broker  # noqa: PLC0415
    from workers.instrumentation.dead_files import NodeFiles  # noqa: PLC0415
    from workers.instrumentation.eventloop import Watch  # noqa: PLC0415
    from workers.instrumentation.health import WorkerChecks  # noqa: PLC0415
    from workers.instrumentation.node import NodeState, solo_busy_since  # noqa: PLC0415
    from workers.instrumentation.series import Series, zero_jobs  # noqa: PLC0415

    named = os.environ.get("METRICS_BUCKETS_FILE", "").strip()
    counted = _series = Series(app, bucket_tables.load(buckets_file or (Path(named) if named else None)))
    files = NodeFiles(folder.path)
    _guard_forks(files, folder)
    signals.task_prerun.connect(counted.prerun, weak=False, dispatch_uid="workers.instrumentation.prerun")
    signals.task_postrun.connect(counted.postrun, weak=False, dispatch_uid="workers.instrumentation.postrun")
    signals.task_retry.connect(counted.retried, weak=False, dispatch_uid="workers.instrumentation.retry")
    parent = os.getpid()
    losses = Losses()

    def on_failure(sender: Any = None, exception: Any = None, task_id: str = "", **_: Any) -> None:
        if os.getpid() == parent and isinstance(exception, LOST) and losses.first(task_id):
            counted.lost(sender, _delivery(sender, task_id))

    def on_ready(**_: Any) -> None:
        # Not before: queues and tasks are all known now.
        files.seed("counter", zero_jobs(app))

    def on_stopping(**_: Any) -> None:
        Watch.view.enter("stopping")

    signals.task_failure.connect(on_failure, weak=False, dispatch_uid="workers.instrumentation.failure")
    signals.worker_ready.connect(on_ready, weak=False, dispatch_uid="workers.instrumentation.ready")
    signals.worker_shutting_down.connect(on_stopping, weak=False, dispatch_uid="workers.instrumentation.stopping")
    broker = Broker(app, lambda: app.amqp.queues.consume_from)
    health = WorkerChecks(worker, Watch.view, broker, lambda: solo_busy_since(worker)).health()
    _serve(NodeState(app, worker, health, broker), health, files)
    broker.start()


def _observe_beat(service: Any, app: Any) -> None:
    folder = directory.claim()
    from workers.instrumentation.beat import BeatState  # noqa: PLC0415
    from workers.instrumentation.broker import Broker  # noqa: PLC0415
    from workers.instrumentation.dead_files import NodeFiles  # noqa: PLC0415

    broker = Broker(app)
    state = BeatState(app, service)
    signals.after_task_publish.connect(state.published, weak=False, dispatch_uid="workers.instrumentation.canary")
    _serve(state, state.health(broker), NodeFiles(folder.path))
    broker.start()


def _serve(state: Any, health: Any, files: Any) -> None:
    from prometheus_client import PlatformCollector, ProcessCollector  # noqa: PLC0415
    from prometheus_client.registry import CollectorRegistry  # noqa: PLC0415

    from workers.instrumentation import server  # noqa: PLC0415
    from workers.instrumentation.dead_files import NodeCollector  # noqa: PLC0415

    number = server.port(os.environ)
    if number is None:
        return
    registry = CollectorRegistry()
    registry.register(NodeCollector(files))
    registry.register(state)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    server.serve(os.environ.get("METRICS_HOST", "").strip() or "127.0.0.1", number, registry, health)


def _guard_forks(files: Any, folder: directory.Folder) -> None:
    """Keep forks and the merging of dead files apart, and start each child with clean gauges of its own."""
    parent = os.getpid()

    def before() -> None:
        if os.getpid() == parent:
            files.forking.acquire()

    def in_parent() -> None:
        if os.getpid() == parent:
            files.forking.release()

    def in_child() -> None:
        if os.getppid() == parent:
            folder.close_in_child()
            files.drop_gauges_of(os.getpid())

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)
    if folder.resumed:
        files.drop_gauges_of(parent)


class Losses:
    """Tells a task's loss from the second report of the same: some versions of Celery tell of a time limit twice."""

    SECONDS = 10.0

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def first(self, task_id: str) -> bool:
        """Whether this is the first report in a while."""
        now = time.monotonic()
        self._at = {known: at for known, at in self._at.items() if now - at < self.SECONDS}
        return self._at.setdefault(task_id, now) == now


def _delivery(task: Any, task_id: str) -> dict[str, Any] | None:
    """How a task came here whose child is gone: as Celery says, as the loop last saw, or as it would be routed."""
    from workers.instrumentation.eventloop import Watch  # noqa: PLC0415

    request = task.request_stack.top
    if request is not None and request.id == task_id and request.delivery_info:
        return dict(request.delivery_info)
    seen = Watch.view.deliveries.get(task_id)
    if seen is not None:
        return seen
    queue = task.app.amqp.router.route({}, task.name).get("queue")
    return {"exchange": "", "routing_key": getattr(queue, "name", queue)}
