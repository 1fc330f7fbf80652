"""A small application that runs on any broker; the one task waits for a file where it is told to."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery

QUEUE = "orders"
PATIENCE_SECONDS = 240

app = Celery("shop", broker=os.environ.get("SHOP_BROKER"), set_as_current=False)
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_send_sent_event=True,
    worker_prefetch_multiplier=2,
    worker_send_task_events=True,
)


@app.task(name="shop.sell")
def sell(until: str = "") -> None:
    """Ends when the file is there."""
    end = time.monotonic() + PATIENCE_SECONDS
    while until and not Path(until).exists() and time.monotonic() < end:
        time.sleep(0.05)


@app.task(name="shop.refuse")
def refuse() -> None:
    """Fails."""
    raise PermissionError("as it is meant to")
