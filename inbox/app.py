"""The inbox as a web application: the webhook, the API, the page, health and metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client.exposition import choose_encoder

from inbox import runbooks
from inbox.intake import Intake
from inbox.metrics import Metrics
from inbox.payload import PayloadError
from inbox.settings import Settings
from inbox.store import Store, StoreError

log = logging.getLogger("inbox")

PAGE = Path(__file__).with_name("page")
# Alertmanager tries again after a 5xx answer and gives up after a 4xx one.
STATUS_OF = {
    "content_type": 415,
    "too_large": 413,
    "slow": 408,
    "not_json": 400,
    "unsupported_version": 422,
    "invalid": 422,
    "overloaded": 503,
    "storage": 503,
}
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(settings: Settings) -> FastAPI:
    """Build the application over the database of the settings. Raises StoreError when it cannot be opened."""
    store = Store(settings.database, settings.max_rows)
    metrics = Metrics()
    metrics.last.set(store.last_received_at())
    intake = Intake(store, metrics, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    # The interactive documentation would load scripts from elsewhere.
    app = FastAPI(title="Alert inbox", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.mount("/page", StaticFiles(directory=PAGE))

    @app.middleware("http")
    async def harden(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        response.headers.update(SECURITY_HEADERS)
        response.headers.setdefault("Cache-Control", "no-cache" if request.url.path.startswith("/page") else "no-store")
        return response

    @app.exception_handler(PayloadError)
    async def refuse(_: Request, error: PayloadError) -> Response:
        metrics.rejected.labels(error.reason).inc()
        status = STATUS_OF[error.reason]
        log.warning("refused a notification: %s: %s", error.reason, error)
        headers = {"Retry-After": "1"} if status == 503 else {}
        return JSONResponse({"error": error.reason, "detail": str(error)}, status, headers)

    @app.exception_handler(StoreError)
    async def unreadable(_: Request, error: StoreError) -> Response:
        log.error("%s", error)
        return JSONResponse({"error": "storage", "detail": str(error)}, 503)

    @app.post("/api/alertmanager")
    async def receive(request: Request) -> dict[str, int]:
        return {"stored": await intake.take(request)}

    @app.get("/api/notifications")
    def notifications(
        after: Annotated[int, Query(ge=0, le=2**62)] = 0,
        alertname: str | None = None,
        status: Literal["firing", "resolved"] | None = None,
        limit: Annotated[int, Query(ge=1, le=5_000)] = 1_000,
    ) -> dict[str, Any]:
        rows, last_id = store.notifications(after, alertname, status, limit)
        return {"notifications": rows, "last_id": last_id}

    @app.get("/api/alerts")
    def alerts() -> dict[str, Any]:
        return {"alerts": store.alerts(), "now": time.time(), "watchdog_timeout": settings.watchdog_timeout}

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        store.counts()
        return {"status": "ok"}

    @app.get("/metrics")
    def exposition(request: Request) -> Response:
        for table, rows in store.counts().items():
            metrics.rows.labels(table).set(rows)
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), media_type=content_type)

    @app.get("/runbooks")
    def runbook_index() -> Response:
        return HTMLResponse(runbooks.index(settings.runbooks))

    @app.get("/runbooks/{name}")
    def runbook(name: str) -> Response:
        text = runbooks.source(name.removesuffix(".md"), settings.runbooks)
        if text is None:
            return HTMLResponse(runbooks.page("No such runbook", f"There is no runbook {name} here."), 404)
        return HTMLResponse(runbooks.page(name.removesuffix(".md"), text))

    @app.get("/")
    def page() -> Response:
        return FileResponse(PAGE / "index.html", media_type="text/html")

    return app
