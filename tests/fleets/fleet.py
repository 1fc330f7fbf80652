"""The application of a fleet, run by each Celery line's environment, and the script that all of them are put through.

``celery -A fleet worker`` runs it; ``python fleet.py STEP FOLDER`` publishes one step. The broker's address is in
FLEET_BROKER. It imports nothing but Celery, and only what every line has.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from celery import Celery
from celery.exceptions import Reject
from celery.utils import uuid

QUEUE = "fleet"
PATIENCE_SECONDS = 120

app = Celery("fleet", broker=os.environ.get("FLEET_BROKER"))
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_create_missing_queues=True,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_send_sent_event=True,
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
)


@app.task(name="fleet.succeeds")
def succeeds() -> str:
    """Ends well."""
    return "well"


@app.task(name="fleet.fails")
def fails() -> None:
    """Ends with an exception of its own class."""
    raise LookupError("as it is meant to")


@app.task(name="fleet.retries", bind=True, max_retries=5)
def retries(self: object) -> None:
    """Ends well the third time."""
    if self.request.retries < 2:  # type: ignore[attr-defined]
        raise self.retry(countdown=0, exc=ConnectionError("not yet"))  # type: ignore[attr-defined]


@app.task(name="fleet.takes_too_long", time_limit=1)
def takes_too_long() -> None:
    """Is stopped by its hard time limit."""
    time.sleep(PATIENCE_SECONDS)


@app.task(name="fleet.kills_its_process")
def kills_its_process() -> None:
    """Takes the process that runs it along."""
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="fleet.is_requeued", acks_late=True, reject_on_worker_lost=True)
def is_requeued(marker: str) -> None:
    """Takes its process along the first time, and ends well the second."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="fleet.is_rejected", acks_late=True)
def is_rejected() -> None:
    """Is thrown away by itself."""
    raise Reject("as it is meant to", requeue=False)


@app.task(name="fleet.expires")
def expires() -> None:
    """Is never run."""


@app.task(name="fleet.is_revoked")
def is_revoked() -> None:
    """Is never run."""


@app.task(name="fleet.is_terminated")
def is_terminated(marker: str) -> None:
    """Runs until it is terminated."""
    Path(marker).touch()
    time.sleep(PATIENCE_SECONDS)


def _wait_for(marker: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not marker.exists():
        if time.monotonic() > end:
            raise SystemExit(f"{marker.name} did not come")
        time.sleep(0.1)


def _revoke_first() -> None:
    task = uuid()
    replies = app.control.revoke(task, reply=True, timeout=30, limit=1)
    if not replies:
        raise SystemExit("no worker heard of the revocation")
    is_revoked.apply_async(task_id=task)


def _terminate(folder: Path) -> None:
    marker = folder / "terminated"
    task = is_terminated.delay(str(marker))
    _wait_for(marker)
    app.control.revoke(task.id, terminate=True, signal="SIGKILL")


STEPS = {
    "succeeds": lambda folder: [succeeds.delay() for _ in range(5)],
    "fails": lambda folder: [fails.delay() for _ in range(3)],
    "retries": lambda folder: [retries.delay() for _ in range(2)],
    "takes_too_long": lambda folder: takes_too_long.delay(),
    "kills_its_process": lambda folder: kills_its_process.delay(),
    "is_requeued": lambda folder: is_requeued.delay(str(folder / "requeued")),
    "is_rejected": lambda folder: is_rejected.delay(),
    "expires": lambda folder: [expires.apply_async(expires=0.05) for _ in range(2)],
    "is_revoked": lambda folder: _revoke_first(),
    "is_terminated": _terminate,
}

if __name__ == "__main__":
    STEPS[sys.argv[1]](Path(sys.argv[2]))
