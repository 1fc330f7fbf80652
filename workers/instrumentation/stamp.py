"""The time of publication on every message: how long it waited, and how old the oldest in a queue is."""

from __future__ import annotations

import time
from typing import Any

from celery.signals import before_task_publish

#: Message header that holds the time of publication in seconds since the epoch.
HEADER = "enqueued_at"


def stamp(app: Any = None) -> None:
    """Put the header ``enqueued_at`` on every message that this process publishes; may be called twice.

    A retry is a new message and is stamped anew. Celery's signals are the process's, not one application's:
    ``app`` is taken so that the line reads as the others do.
    """
    del app
    before_task_publish.connect(_stamp, weak=False, dispatch_uid="workers.instrumentation.stamp")


def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        headers[HEADER] = time.time()
