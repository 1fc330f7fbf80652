"""What is kept of a stack when something went wrong: files, written before anything is taken down.

Every piece is looked up on its own: a Prometheus that does not answer costs its own files and leaves
a note in their place.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import requests

from harness.clients import Inbox, Prometheus

if TYPE_CHECKING:
    from harness.stack import Stack

T = TypeVar("T")

SERIES_SECONDS = 900.0  # how far back the series go
SERIES_POINTS = 450
LOG_LINES = 3000


def file_name(text: str) -> str:
    """A text as a file name: letters, digits, dots and dashes, not too long."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")[:120] or "unnamed"


def keep(stack: Stack, folder: Path, series: Iterable[str] = (), since: float | None = None) -> Path:
    """Write down all there is to know about the stack now, into `folder`, and return it.

    `series` are expressions whose last quarter of an hour is kept as well (or what came after `since`, epoch
    seconds). Never raises: what cannot be had is replaced by a file `<name>.missing` that says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _piece(folder, "status.txt", lambda: _status(stack))
    for service in stack.services:
        _piece(folder / "logs", f"{service}.log", lambda service=service: stack.logs(service, lines=LOG_LINES))  # type: ignore[misc]
    for worker in _or_none(stack.workers) or []:
        _piece(folder / "logs", f"{file_name(worker.name)}.log", lambda worker=worker: worker.logs(LOG_LINES))  # type: ignore[misc]
    for name, service, path in (
        ("targets.json", "prometheus", "/api/v1/targets"),
        ("rules.json", "prometheus", "/api/v1/rules"),
        ("alerts.json", "prometheus", "/api/v1/alerts"),
        ("prometheus-config.json", "prometheus", "/api/v1/status/config"),
        ("alertmanager-alerts.json", "alertmanager", "/api/v2/alerts"),
        ("alertmanager-status.json", "alertmanager", "/api/v2/status"),
        ("exporter-metrics.txt", "celery-exporter", "/metrics"),
    ):
        _piece(folder, name, lambda service=service, path=path: _fetched(stack.address(service) + path))  # type: ignore[misc]
    _piece(folder, "notifications.json", lambda: _notifications(Inbox(stack.address("inbox"))))
    end = time.time()
    start = since if since is not None else end - SERIES_SECONDS
    for expression in dict.fromkeys(series):
        _piece(
            folder / "series",
            f"{file_name(expression)}.json",
            lambda expression=expression: _series(Prometheus(stack.address("prometheus")), expression, start, end),  # type: ignore[misc]
        )
    return folder


def _piece(folder: Path, name: str, content: Callable[[], str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / name).write_text(content(), encoding="utf-8")
    except Exception as error:
        (folder / f"{name}.missing").write_text(f"{type(error).__name__}: {error}\n", encoding="utf-8")


def _status(stack: Stack) -> str:
    return "".join(f"{copy.name:<30} {seen.state:<10} {seen.detail}\n" for copy, seen in stack.status())


def _or_none(content: Callable[[], list[T]]) -> list[T] | None:
    try:
        return content()
    except Exception:
        return None


def _fetched(url: str) -> str:
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    if "json" not in answer.headers.get("Content-Type", ""):
        return answer.text
    return _json(answer.json())


def _notifications(inbox: Inbox) -> str:
    return _json([vars(notification) for notification in inbox.notifications()])


def _series(prometheus: Prometheus, expression: str, start: float, end: float) -> str:
    step = max(1.0, (end - start) / SERIES_POINTS)
    return _json({"expression": expression, "result": prometheus.query_range(expression, start, end, step)})


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)
