"""The gateway's pages."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from workers.gateway.drainer import Drainer
from workers.gateway.metrics import GatewayMetrics
from workers.gateway.middleware import Observed
from workers.gateway.models import OrderIn
from workers.gateway.outbox import Outbox
from workers.gateway.pipeline import Pipeline
from workers.gateway.settings import GatewaySettings
from workers.instrumentation.health import Check, Health
from workers.instrumentation.verdict import Verdict
from workers.telemetry import configured

logger = logging.getLogger(__name__)

OrderId = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
#: FastAPI's own server spans, where telemetry is on: one for a request, and none for a probe or a scrape.
TELEMETRY: Any = {
    "operation_spans": False,
    "metrics": False,
    "logs": False,
    "exclude": lambda scope: scope["path"] in ("/metrics", "/healthz", "/readyz", "/health"),
}
#: A client that was refused may try again after this many seconds.
RETRY_AFTER = {"Retry-After": "5"}


def create_app(settings: GatewaySettings, pipeline: Pipeline) -> FastAPI:
    """The web application over an outbox of its own. Raises SettingsError where the outbox cannot be opened."""
    outbox = Outbox(settings.database)
    drainer = Drainer(outbox, pipeline.publish)
    metrics = GatewayMetrics(outbox, drainer)

    def room() -> Verdict:
        if drainer.trouble and outbox.depth() >= settings.outbox_limit:
            return Verdict(False, f"{drainer.trouble}, and the outbox is full with {outbox.depth()} orders")
        return Verdict(True, drainer.trouble or "orders are taken")

    live = Check("drainer", drainer.verdict)
    health = Health([live], [live, Check("orders", room)])

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        drainer.start()
        yield
        drainer.stop()
        outbox.close()

    web = FastAPI(
        title="Order gateway", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, telemetry=TELEMETRY
    )
    web.add_middleware(Observed, metrics=metrics)

    @web.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        reasons = [f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}" for reason in error.errors()]
        metrics.orders.labels("invalid").inc()
        return JSONResponse({"error": "; ".join(reasons)}, 422)

    @web.post("/orders", status_code=202)
    def post_order(order: OrderIn) -> Any:
        """Accept an order: from here on it is not lost. 503 says why it was not accepted."""
        verdict = room()
        if not verdict.ok:
            metrics.orders.labels("refused").inc()
            return JSONResponse({"error": verdict.detail}, 503, RETRY_AFTER)
        id_ = str(uuid.uuid4())
        try:
            outbox.accept(id_, {"order_id": id_, **order.model_dump()}, _trace_context())
        except sqlite3.Error as error:
            logger.error("an order could not be kept: %s", error)
            metrics.orders.labels("refused").inc()
            return JSONResponse({"error": "the gateway cannot keep orders now"}, 503, RETRY_AFTER)
        metrics.orders.labels("accepted").inc()
        drainer.wake()
        return {"order_id": id_, "task_id": id_, "status": "accepted"}

    @web.get("/orders/{order_id}")
    def get_order(order_id: OrderId) -> Any:
        """What became of an order: accepted, queued, running, succeeded (with its result) or failed."""
        published = outbox.is_published(order_id)
        if published is None:
            return JSONResponse({"error": "there is no such order"}, 404)
        if not published:
            return {"order_id": order_id, "status": "accepted"}
        try:
            return {"order_id": order_id, **pipeline.status(order_id)}
        except Exception as error:
            reason = f"the result store does not answer ({type(error).__name__})"
            return JSONResponse({"order_id": order_id, "error": reason}, 503, RETRY_AFTER)

    @web.get("/metrics")
    def get_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    for path, question in {"/healthz": health.live, "/readyz": health.ready, "/health": health.everything}.items():
        web.add_api_route(path, _answer(question))
    return web


def _answer(question: Any) -> Any:
    def answer() -> JSONResponse:
        ok, report = question()
        return JSONResponse(report, 200 if ok else 503)

    return answer


def _trace_context() -> dict[str, str]:
    carrier: dict[str, str] = {}
    if configured():
        from opentelemetry import propagate  # noqa: PLC0415 - only where it is on

        propagate.inject(carrier)
    return carrier
