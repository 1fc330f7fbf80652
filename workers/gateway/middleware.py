"""Around each request: a limit on its size, and its metrics. Its span is FastAPI's own."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from workers.gateway.metrics import GatewayMetrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 64 * 1024
#: Methods that are told apart; anything else is somebody's invention and would be a label without bound.
METHODS = frozenset({"GET", "POST", "HEAD", "OPTIONS"})


class Observed:
    """ASGI middleware that counts and times requests by route, never by URL."""

    def __init__(self, app: App, metrics: GatewayMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if _too_large(scope):
                await _refuse(watched)
            else:
                await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.durations.labels(route).observe(time.perf_counter() - started)


def _too_large(scope: Message) -> bool:
    """Whether the body is larger than any order, or of a size that is not told."""
    if scope["method"] != "POST":
        return False
    length = dict(scope["headers"]).get(b"content-length", b"")
    return not length.isdigit() or int(length) > MAX_BODY_BYTES


async def _refuse(send: Send) -> None:
    body = b'{"error": "an order has a Content-Length of at most 65536 bytes"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
