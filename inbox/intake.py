"""Taking in one webhook call: within the limits, read, kept, counted."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from inbox.metrics import Metrics
from inbox.payload import PayloadError, parse
from inbox.settings import Settings
from inbox.store import Store, StoreError

log = logging.getLogger("inbox")

BODY_TIMEOUT = 10.0  # seconds for a sender to deliver one body


class Intake:
    """Where webhook calls come in; used from the event loop only."""

    def __init__(self, store: Store, metrics: Metrics, settings: Settings) -> None:
        self._store = store
        self._metrics = metrics
        self._settings = settings
        self._pending = 0

    async def take(self, request: Request) -> int:
        """Keep the alerts of one webhook call and return their number.

        Raises PayloadError for anything that is not kept, overload and a failing database among it.
        """
        self._metrics.received.inc()
        if self._pending >= self._settings.max_pending:
            raise PayloadError("overloaded", f"{self._pending} notifications are being taken in: try again")
        self._pending += 1
        try:
            body = await _body(request, self._settings.max_body_bytes)
            return await run_in_threadpool(self._keep, body)
        finally:
            self._pending -= 1

    def _keep(self, body: bytes) -> int:
        notification = parse(body)
        received_at = time.time()
        try:
            dropped = self._store.add(notification.alerts, received_at)
        except StoreError as error:
            raise PayloadError("storage", str(error)) from None
        self._metrics.stored.inc()
        self._metrics.alerts_stored.inc(len(notification.alerts))
        self._metrics.truncated.inc(notification.truncated)
        self._metrics.last.set(received_at)
        for table, rows in dropped.items():
            self._metrics.dropped.labels(table).inc(rows)
        for alert in notification.alerts:
            log.info("%r %s for receiver %r", alert.alertname, alert.status, alert.receiver)
        return len(notification.alerts)


async def _body(request: Request, limit: int) -> bytes:
    # A page of another site can make a browser post text, but not JSON: the check keeps such posts out.
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise PayloadError("content_type", "the content type is not application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise PayloadError("too_large", f"the body exceeds {limit} bytes: lower max_alerts of the receiver")
    except TimeoutError:
        raise PayloadError("slow", f"the body did not arrive within {BODY_TIMEOUT:.0f} s") from None
    return bytes(body)
