"""The application that the tests' workers run; each task does one thing that the exporter has to tell apart."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, Reject

app = Celery("shop", broker=os.environ.get("SHOP_BROKER", "redis://127.0.0.1:1/0"), set_as_current=False)
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    task_send_sent_event=True,
    worker_send_task_events=True,
    worker_prefetch_multiplier=1,
)
app.conf.update(json.loads(os.environ.get("SHOP_CONF", "{}")))


class OddError(Exception):
    """An exception whose repr does not begin with its class."""

    def __repr__(self) -> str:
        return "<odd>"


@app.task(name="shop.add")
def add() -> int:
    return 3


@app.task(name="shop.fail")
def fail() -> None:
    raise ValueError("a secret that must not leave: hunter2")


@app.task(name="shop.fail_oddly")
def fail_oddly() -> None:
    raise OddError


@app.task(name="shop.again", bind=True, max_retries=2)
def again(self: Any) -> None:
    raise self.retry(countdown=0, exc=KeyError("not yet"))


@app.task(name="shop.die")
def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="shop.overrun", time_limit=1)
def overrun() -> None:
    time.sleep(300)


@app.task(name="shop.poison", bind=True, acks_late=True, reject_on_worker_lost=True)
def poison(self: Any, marker: str) -> None:
    """Kills its process the first two times."""
    path = Path(marker)
    deaths = len(path.read_text()) if path.exists() else 0
    if deaths < 2:
        path.write_text("x" * (deaths + 1))
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="shop.reject", acks_late=True)
def reject() -> None:
    raise Reject("no", requeue=False)


@app.task(name="shop.ignore")
def ignore() -> None:
    raise Ignore


@app.task(name="shop.wait")
def wait(marker: str) -> None:
    """Runs until the file is there."""
    while not Path(marker).exists():
        time.sleep(0.05)
