"""OpenTelemetry's providers, one set for each process that runs or publishes tasks.

They are made where they are used, never in the parent of a prefork pool: their threads do not survive a fork, and
each process needs an identity of its own, or back ends take their counters for one that jumps.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from opentelemetry import metrics as metrics_api
from opentelemetry import trace as trace_api
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

logger = logging.getLogger(__name__)

SCOPE = "workers.telemetry"
#: Bounds in milliseconds: the library's own end at ten seconds.
DURATION_BOUNDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000)
#: A process that ends waits this long for its last export, and no longer for a back end that is away.
SHUTDOWN_SECONDS = 5.0
METRIC_INTERVAL_MILLISECONDS = 60000.0

_tracers: dict[int, Any] = {}
_meters: dict[int, Any] = {}
_closers: list[tuple[int, Any]] = []
_lock = threading.Lock()

#: Name of this worker node, once it is known; see ``instance_id``.
node: str | None = None


def instance_id() -> str:
    """What tells this process from every other one at the same time.

    Children of a prefork pool are told apart by their place in the pool and not by process id: a child that takes
    over a place takes over its series, and recycling children makes no new ones.
    """
    from billiard.process import current_process  # noqa: PLC0415

    base = node or f"{socket.gethostname()}:{os.getpid()}"
    index = getattr(current_process(), "index", None)
    return base if index is None else f"{base}/{index}"


def resource() -> Resource:
    """The process's resource: OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME with an instance id of its own."""
    declared = Resource.create({})
    name = declared.attributes.get("service.name", "")
    own: dict[str, Any] = {"service.instance.id": instance_id()}
    if not name or str(name).startswith("unknown_service"):
        own["service.name"] = "celery"
    return declared.merge(Resource(own))


def tracer() -> Any:
    """The tracer of this process, made on first use; an application's own provider is used where it has set one."""
    pid = os.getpid()
    found = _tracers.get(pid)
    if found is None:
        with _lock:
            found = _tracers.get(pid) or _make_tracer(pid)
    return found


def _make_tracer(pid: int) -> Any:
    provider = trace_api.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        processor = BatchSpanProcessor(OTLPSpanExporter())
        provider = TracerProvider(resource=resource(), shutdown_on_exit=False)
        provider.add_span_processor(processor)
        trace_api.set_tracer_provider(provider)
        _close_at_end(pid, processor.shutdown)
    _tracers[pid] = provider.get_tracer(SCOPE)
    return _tracers[pid]


def meter(everyones: bool = True) -> Any:
    """The meter of this process, made on first use; it exports from a thread of its own.

    ``everyones`` makes it the default of the process, and so of those that it forks.
    """
    pid = os.getpid()
    if pid in _meters:
        return _meters[pid]
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=math.inf)
    duration = View(
        instrument_name="celery.task.duration", aggregation=ExplicitBucketHistogramAggregation(DURATION_BOUNDS)
    )
    provider = MeterProvider([reader], resource=resource(), shutdown_on_exit=False, views=[duration])
    if everyones:
        metrics_api.set_meter_provider(provider)
    # The reader's own thread would be started again in every forked child, and report under its parent's name.
    over = threading.Event()
    threading.Thread(target=_export, args=(provider, over), name="otlp metrics", daemon=True).start()

    def close() -> None:
        over.set()
        # Without a thread of its own the reader ends without a last look.
        provider.force_flush()
        provider.shutdown()

    _close_at_end(pid, close)
    _meters[pid] = provider.get_meter(SCOPE)
    return _meters[pid]


def _export(provider: MeterProvider, over: threading.Event) -> None:
    try:
        milliseconds = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL") or METRIC_INTERVAL_MILLISECONDS)
    except ValueError:
        milliseconds = METRIC_INTERVAL_MILLISECONDS
    while not over.wait(max(milliseconds, 100) / 1000):
        with contextlib.suppress(Exception):  # a back end that is away is told at the next turn
            provider.force_flush()


def _close_at_end(pid: int, close: Any) -> None:
    if not any(owner == pid for owner, _ in _closers):
        atexit.register(shutdown)
    _closers.append((pid, close))


def shutdown() -> None:
    """Send what has ended and stop, in this process; may be called twice."""
    pid = os.getpid()
    mine = [close for owner, close in _closers if owner == pid]
    _closers[:] = [entry for entry in _closers if entry[0] != pid]
    threads = [threading.Thread(target=_close, args=(close,), daemon=True) for close in mine]
    for thread in threads:
        thread.start()
    until = time.monotonic() + SHUTDOWN_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _close(close: Callable[[], Any]) -> None:
    try:
        close()
    except Exception as error:
        logger.warning("the last telemetry was not sent (%s)", type(error).__name__)
