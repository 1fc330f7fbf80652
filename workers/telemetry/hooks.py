"""Connects telemetry to an application and to Celery's signals."""

from __future__ import annotations

import sys
from typing import Any

from celery import signals

from workers.instrumentation.directory import is_celery_program
from workers.telemetry import providers
from workers.telemetry.configuration import Configuration
from workers.telemetry.counts import TaskCounts, observe_node
from workers.telemetry.spans import Consumers, traced_amqp, traced_sender

NAME = "workers.telemetry"


def connect(app: Any, configuration: Configuration) -> None:
    """Trace and count ``app`` in this process and in those that it forks, as ``configuration`` says."""
    if configuration.traces:
        _trace_publishing(app)
        _connect("traces", Consumers(configuration.links))
        if not is_celery_program(sys.argv):
            # A producer's own spans begin before its first message. A worker's parent must not have a provider yet:
            # its children would be born with it.
            providers.tracer()

    def on_setup(sender: Any = None, **_: Any) -> None:
        providers.node = str(sender)

    def on_process_init(**_: Any) -> None:
        if configuration.traces:
            providers.tracer()
        if configuration.metrics:
            _connect("metrics", TaskCounts(providers.meter()))

    def on_ready(sender: Any = None, **_: Any) -> None:
        prefork = type(sender.pool).__module__.endswith(".prefork")
        if configuration.metrics:
            meter = providers.meter(everyones=not prefork)
            if not prefork:
                # This process runs the tasks itself; a prefork pool's parent only observes. The solo pool has come
                # by on_process_init already, and connecting twice is connecting once.
                _connect("metrics", TaskCounts(meter))
            observe_node(meter, app, sender.hostname)
        if configuration.traces and not prefork:
            providers.tracer()

    def on_shutdown(**_: Any) -> None:
        providers.shutdown()

    connections = {
        signals.celeryd_after_setup: on_setup,
        signals.worker_process_init: on_process_init,
        signals.worker_ready: on_ready,
        signals.worker_process_shutdown: on_shutdown,
        signals.worker_shutdown: on_shutdown,
    }
    for signal, handler in connections.items():
        signal.connect(handler, weak=False, dispatch_uid=f"{NAME}.{handler.__name__}")


def _trace_publishing(app: Any) -> None:
    from celery.utils.imports import symbol_by_name  # noqa: PLC0415

    if "amqp" in app.__dict__:
        app.amqp.send_task_message = traced_sender(app.amqp.send_task_message)
    else:
        # Not made yet: making it would read the configuration, which may not be complete.
        app.amqp_cls = traced_amqp(symbol_by_name(app.amqp_cls))


def _connect(kind: str, handlers: Any) -> None:
    connections = {
        signals.task_prerun: handlers.prerun,
        signals.task_postrun: handlers.postrun,
        signals.task_failure: handlers.failed,
        signals.task_retry: handlers.retried,
    }
    for signal, handler in connections.items():
        signal.connect(handler, weak=False, dispatch_uid=f"{NAME}.{kind}")
