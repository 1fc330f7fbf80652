"""OpenTelemetry for any Celery application, in one line::

    from workers.telemetry import trace
    trace(app)

Configured by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, OTEL_TRACES_SAMPLER,
OTEL_RESOURCE_ATTRIBUTES, ...). Without an endpoint nothing is imported and nothing connected: off costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workers.settings import SettingsError, refuse
from workers.telemetry.configuration import Configuration

__all__ = ["configured", "current_ids", "flush", "span", "trace"]

_configuration: Configuration | None = None


def trace(app: Any, links: frozenset[str] | set[str] | None = None) -> None:
    """Trace what ``app`` publishes and runs, and count it over OTLP.

    A task's span is the child of the span that published it. ``links`` (``"eta"``, ``"chain"``, or both; from
    CELERY_TRACE_LINKS where None) names the messages whose task starts a trace of its own instead, linked to the
    publisher: those with an ETA, and those that another task published. Retries stay in their first attempt's trace.
    Settings that cannot be used end the process with one line and status 2.
    """
    global _configuration  # noqa: PLW0603 - OpenTelemetry is the process's
    try:
        configuration = Configuration.from_environment(os.environ, links)
    except SettingsError as error:
        refuse(error)
    if not configuration.on:
        return
    _configuration = configuration
    from workers.telemetry.hooks import connect  # noqa: PLC0415 - only where it is on

    try:
        connect(app, configuration)
    except ModuleNotFoundError as error:
        fix = f"telemetry needs the package of {error.name}; install the extra 'telemetry' or unset the endpoint"
        refuse(SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT", configuration.endpoint, fix))


def configured() -> bool:
    """Whether this process has telemetry switched on."""
    return _configuration is not None


@contextmanager
def span(name: str, **attributes: str | float | bool) -> Iterator[None]:
    """A span of one's own around a piece of work, as a child of the current one; nothing where telemetry is off."""
    if _configuration is None:
        yield
        return
    from workers.telemetry.providers import tracer  # noqa: PLC0415

    with tracer().start_as_current_span(name, attributes=attributes):
        yield


def current_ids() -> tuple[str, str] | None:
    """Trace and span id of the current span as hexadecimal, or None outside of one."""
    if _configuration is None:
        return None
    from opentelemetry import trace as api  # noqa: PLC0415

    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def flush() -> None:
    """Send what has ended, and stop: for the end of a process."""
    if _configuration is not None:
        from workers.telemetry.providers import shutdown  # noqa: PLC0415

        shutdown()
