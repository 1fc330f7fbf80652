"""The gateway's side of Celery: publishing an order, and asking what became of it."""

from __future__ import annotations

from typing import Any

from workers.catalogue import ACCEPT_ORDER
from workers.gateway.outbox import Waiting
from workers.telemetry import configured

#: A broker or result store that does not answer for this long is away.
TIMEOUT_SECONDS = 2.0
#: One immediate second try mends a connection that went stale while idle; the drainer does the waiting.
RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
#: What a customer is told of a finished order.
RESULT = ("total_cents", "charge", "confirmation", "invoice")
#: What Celery's states mean to a customer.
STATES = {"PENDING": "queued", "RECEIVED": "queued", "STARTED": "running", "RETRY": "running", "FAILURE": "failed"}


class Pipeline:
    """Orders on their way through Celery."""

    def __init__(self, app: Any) -> None:
        self._app = app
        app.conf.broker_transport_options = {
            **app.conf.broker_transport_options,
            "socket_timeout": TIMEOUT_SECONDS,
            "socket_connect_timeout": TIMEOUT_SECONDS,
        }
        app.conf.redis_socket_timeout = app.conf.redis_socket_connect_timeout = TIMEOUT_SECONDS
        app.conf.result_backend_transport_options = {
            **app.conf.result_backend_transport_options,
            "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_max": 0.1, "timeout": TIMEOUT_SECONDS},
        }

    def publish(self, waiting: Waiting) -> None:
        """Send an order under its own id, in the trace that it was accepted in. Raises where it did not go out."""
        if not configured() or not waiting.trace:
            self._send(waiting)
            return
        from opentelemetry import context, propagate  # noqa: PLC0415 - only where it is on

        token = context.attach(propagate.extract(waiting.trace))
        try:
            self._send(waiting)
        finally:
            context.detach(token)

    def _send(self, waiting: Waiting) -> None:
        self._app.send_task(
            ACCEPT_ORDER.name, (waiting.order,), task_id=waiting.id, retry=True, retry_policy=RETRY_POLICY
        )

    def status(self, id_: str) -> dict[str, Any]:
        """What became of a published order: status, and its result or the step that failed.

        Raises where the result store cannot be asked.
        """
        meta = self._app.backend.get_task_meta(id_)
        if meta["status"] != "SUCCESS":
            return {"status": STATES.get(meta["status"], "queued")}
        # The first step ended and has started the others; the order is done when the last of them is.
        steps = [self._app.backend.get_task_meta(step) for step in meta["result"]["steps"]]
        if any(step["status"] == "FAILURE" for step in steps):
            return {"status": "failed"}
        if steps[-1]["status"] == "SUCCESS":
            order = steps[-1]["result"]
            return {"status": "succeeded", "result": {key: order[key] for key in RESULT}}
        return {"status": "running"}
