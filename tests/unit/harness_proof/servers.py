"""Stand-ins of Prometheus, Alertmanager and the inbox: answers by path, changed by the test."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = Callable[[dict[str, str]], tuple[int, Any]]


class Answers:
    """What the server answers: path -> function of the parameters, giving status and JSON (or text)."""

    def __init__(self) -> None:
        self.by_path: dict[str, Answer] = {}
        self.url = ""

    def put(self, path: str, content: Any, status: int = 200) -> None:
        """Answer this path with this content, or with what a function of the parameters gives."""
        self.by_path[path] = content if callable(content) else lambda _: (status, content)


@contextmanager
def serving() -> Iterator[Answers]:
    """A server on a free port for the time of a block."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer = answers.by_path.get(parts.path)
            status, content = answer(dict(parse_qsl(parts.query))) if answer else (404, "nothing here")
            text = isinstance(content, str)
            body = (content if text else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if text else "application/json")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answers.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield answers
    finally:
        server.shutdown()
        server.server_close()


def prometheus_alert(name: str, state: str = "firing", **labels: str) -> dict[str, Any]:
    """An alert as Prometheus writes it."""
    return {
        "labels": {"alertname": name, **labels},
        "annotations": {"summary": f"{name} it is"},
        "state": state,
        "activeAt": "2026-01-02T03:04:05.123456789Z",
    }


def notification(number: int, name: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    """A notification as the inbox writes it."""
    return {
        "id": number,
        "received_at": 1000.0 + number,
        "receiver": "inbox",
        "status": status,
        "alertname": name,
        "labels": {"alertname": name, **labels},
        "annotations": {},
        "starts_at": 999.0,
        "ends_at": None if status == "firing" else 1001.0,
        "fingerprint": "f",
        "group_key": "g",
    }
