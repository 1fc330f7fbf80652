"""The canary: a task that only proves that its queue is served."""

from __future__ import annotations

from workers.app import app
from workers.catalogue import CANARY


@app.task(name=CANARY.name, ignore_result=True, acks_late=False, reject_on_worker_lost=False)
def ping() -> None:
    """Do nothing."""
