"""The HTTP side: /metrics, /health and /live."""

from __future__ import annotations

import gzip
import json
import logging
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from exporter.exposition import OPENMETRICS, TEXT, wants_gzip, wants_openmetrics

log = logging.getLogger("exporter.server")

_GZIP_LEVEL = 1
_IDLE = 65.0
_INDEX = b"""<!doctype html><html lang="en"><title>Celery exporter</title><h1>Celery exporter</h1>
<p><a href="metrics">/metrics</a> <a href="health">/health</a> <a href="live">/live</a></p></html>
"""

# Sent by Prometheus and by everything that scrapes with its code.
_SCRAPE_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"

Render = Callable[[bool, str, bool], bytes]
"""(OpenMetrics?, who scrapes, does it say that it is a scrape?) -> page."""
Health = Callable[[], tuple[bool, dict[str, Any]]]


class Server(ThreadingHTTPServer):
    """Answers scrapes; each connection in a thread that dies with the process."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, host: str, port: int, *, render: Render, health: Health) -> None:
        self.render = render
        self.health = health
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind without asking the resolver for this host's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hangs up is no news."""
        log.debug("a request ended early")


class Handler(BaseHTTPRequestHandler):
    """One connection; kept open between scrapes."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "celery-exporter"
    sys_version = ""
    timeout = _IDLE
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0].rstrip("/") or "/"
        if path == "/metrics":
            self._metrics()
        elif path == "/health":
            well, facts = self.server.health()
            self._answer(200 if well else 503, "application/json", json.dumps(facts).encode() + b"\n")
        elif path == "/live":
            self._answer(200, "text/plain; charset=utf-8", b"alive\n")
        elif path == "/":
            self._answer(200, "text/html; charset=utf-8", _INDEX)
        else:
            self._answer(404, "text/plain; charset=utf-8", b"not here: try /metrics\n")

    do_HEAD = do_GET  # noqa: N815

    def _metrics(self) -> None:
        openmetrics = wants_openmetrics(self.headers.get("Accept", ""))
        scraper = f"{self.client_address[0]} {self.headers.get('User-Agent', '')[:200]}"
        page = self.server.render(openmetrics, scraper, _SCRAPE_HEADER in self.headers)
        headers = {"Vary": "Accept, Accept-Encoding"}
        if wants_gzip(self.headers.get("Accept-Encoding", "")):
            page = gzip.compress(page, _GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        self._answer(200, OPENMETRICS if openmetrics else TEXT, page, headers)

    def _answer(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are not logged."""
