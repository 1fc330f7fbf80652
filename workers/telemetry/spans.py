"""Producer and consumer spans.

A producer span is around the sending of a message, and its context travels in the message's headers; a consumer span
is around each attempt at the task. A retry is published from within its attempt, so the next attempt's spans hang off
that attempt, and each attempt off the publication that caused it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import propagate
from opentelemetry import trace as api
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from workers.telemetry.providers import tracer


def traced_amqp(base: type) -> type:
    """``base``, Celery's AMQP class, with a span around each message that it sends."""

    class TracedAMQP(base):  # type: ignore[misc]
        def _create_task_sender(self) -> Any:
            return traced_sender(super()._create_task_sender())

    return TracedAMQP


def traced_sender(send: Callable[..., Any]) -> Callable[..., Any]:
    """``send``, the function that publishes a task's message, with a producer span around it."""

    def send_task_message(producer: Any, name: str, message: Any, **options: Any) -> Any:
        queue = options.get("queue")
        destination = getattr(queue, "name", queue) or options.get("routing_key") or ""
        attributes = {
            "messaging.system": "celery",
            "messaging.operation.type": "send",
            "messaging.destination.name": str(destination),
            "messaging.message.id": str(message.headers.get("id")),
            "celery.task_name": name,
        }
        with tracer().start_as_current_span(f"apply_async/{name}", kind=SpanKind.PRODUCER, attributes=attributes):
            # A retry carries the headers of the attempt that asked for it, and they would win over the message's:
            # nothing of the old context may stay in either.
            fields = propagate.get_global_textmap().fields
            if headers := options.get("headers"):
                options["headers"] = {key: value for key, value in headers.items() if key not in fields}
            for field in fields:
                message.headers.pop(field, None)
            propagate.inject(message.headers)
            return send(producer, name, message, **options)

    return send_task_message


class Consumers:
    """Handlers of Celery's task signals that keep one span open for each running attempt."""

    def __init__(self, links: frozenset[str]) -> None:
        self._links = links

    def prerun(self, task: Any = None, task_id: str = "", **_: Any) -> None:
        """Handler of ``task_prerun``: open the span, under or linked to the publisher's."""
        request = task.request
        fields = propagate.get_global_textmap().fields
        carrier = {field: value for field in fields if isinstance(value := getattr(request, field, None), str)}
        parent = propagate.extract(carrier, context=context_api.Context())
        links = []
        if self._apart(request):
            publisher = api.get_current_span(parent).get_span_context()
            if publisher.is_valid:
                links = [Link(publisher)]
            parent = context_api.Context()
        delivery = request.delivery_info or {}
        span = tracer().start_span(
            f"run/{task.name}",
            context=parent,
            kind=SpanKind.CONSUMER,
            links=links,
            attributes={
                "messaging.system": "celery",
                "messaging.operation.type": "process",
                "messaging.destination.name": delivery.get("routing_key") or "",
                "messaging.message.id": task_id,
                "celery.task_name": task.name,
                "celery.retries": request.retries or 0,
                "celery.redelivered": bool(delivery.get("redelivered")),
            },
        )
        request.traced = (span, context_api.attach(api.set_span_in_context(span, parent)))

    def _apart(self, request: Any) -> bool:
        if request.retries:
            return False
        return bool(("eta" in self._links and request.eta) or ("chain" in self._links and request.parent_id))

    def postrun(self, task: Any = None, state: str | None = None, **_: Any) -> None:
        """Handler of ``task_postrun``: close the span."""
        traced = getattr(task.request, "traced", None)
        if traced is None:
            return
        span, token = traced
        task.request.traced = None
        span.set_attribute("celery.state", state or "")
        span.end()
        context_api.detach(token)

    def failed(self, sender: Any = None, exception: BaseException | None = None, **_: Any) -> None:
        """Handler of ``task_failure``: the span is an error's."""
        traced = getattr(getattr(sender, "request", None), "traced", None)
        if traced is not None and exception is not None:
            traced[0].record_exception(exception)
            traced[0].set_status(Status(StatusCode.ERROR, type(exception).__name__))

    def retried(self, request: Any = None, reason: Any = None, **_: Any) -> None:
        """Handler of ``task_retry``: note why there will be another attempt."""
        traced = getattr(request, "traced", None)
        if traced is not None:
            cause = getattr(reason, "exc", None) or reason
            traced[0].add_event("retry", {"exception.type": type(cause).__name__})
