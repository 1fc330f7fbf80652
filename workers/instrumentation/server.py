"""The port of a worker node or of beat: /metrics, /healthz, /readyz and /health."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.registry import CollectorRegistry

from workers.instrumentation.health import Health
from workers.settings import SettingsError

logger = logging.getLogger(__name__)

#: A client that sends nothing is hung up on.
CLIENT_SECONDS = 10
PORT = "METRICS_PORT"
DEFAULT_PORT = 8000


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without the reverse DNS look-up that the standard library adds here."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], int(self.server_address[1])  # type: ignore[assignment]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape is not worth a line."""
        logger.debug(format, *args)


def port(environ: Any) -> int | None:
    """METRICS_PORT as a number, 8000 where it is not set, None where it is ``off``; SettingsError otherwise."""
    text = str(environ.get(PORT, "")).strip().lower()
    if text == "off":
        return None
    if not text:
        return DEFAULT_PORT
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise SettingsError(PORT, text, "write a port from 1 to 65535, or off")
    return int(text)


def serve(host: str, number: int, registry: CollectorRegistry, health: Health) -> None:
    """Answer on ``host:number`` from a thread until the process ends; forked children close the port.

    Raises SettingsError where the port cannot be had.
    """
    try:
        server = make_server(host, number, _application(registry, health), _Server, _Handler)
    except OSError as error:
        fix = f"cannot listen on {host} ({error.strerror}); set METRICS_PORT to a free port, or off"
        raise SettingsError(PORT, str(number), fix) from None
    os.register_at_fork(after_in_child=server.socket.close)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    logger.info("metrics and health on http://%s:%d", host, number)


def _application(registry: CollectorRegistry, health: Health) -> Callable[..., Iterable[bytes]]:
    metrics: Callable[..., Iterable[bytes]] = make_wsgi_app(registry)
    questions = {"/healthz": health.live, "/readyz": health.ready, "/health": health.everything}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            return metrics(environ, start_response)
        if path in questions:
            ok, report = questions[path]()
            return _json(start_response, "200 OK" if ok else "503 Service Unavailable", report)
        known = ["/metrics", *questions]
        return _json(start_response, "404 Not Found", {"error": f"no such page; there are {', '.join(known)}"})

    return application


def _json(start_response: Callable[..., Any], status: str, body: dict[str, Any]) -> list[bytes]:
    payload = json.dumps(body).encode() + b"\n"
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(payload)))])
    return [payload]
