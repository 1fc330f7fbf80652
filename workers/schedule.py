"""What beat sends, and how often."""

from __future__ import annotations

from typing import Any

from workers.catalogue import QUEUES, RECONCILE, SUMMARISE
from workers.instrumentation.canary import canary_schedule

#: Seconds between two runs of the periodic tasks.
RECONCILE_SECONDS = 30.0
SUMMARISE_SECONDS = 60.0


def beat_schedule(canary_interval: float) -> dict[str, dict[str, Any]]:
    """Celery's ``beat_schedule``: the periodic tasks and, unless ``canary_interval`` is 0, a canary per queue.

    Each expires before its second successor: a backlog of periodic tasks helps nobody.
    """
    entries: dict[str, dict[str, Any]] = {
        "reconcile payments": {
            "task": RECONCILE.name,
            "schedule": RECONCILE_SECONDS,
            "options": {"expires": 2 * RECONCILE_SECONDS},
        },
        "summarise the day": {
            "task": SUMMARISE.name,
            "schedule": SUMMARISE_SECONDS,
            "args": ("today",),
            "options": {"expires": 2 * SUMMARISE_SECONDS},
        },
    }
    return entries | canary_schedule(QUEUES, canary_interval)
