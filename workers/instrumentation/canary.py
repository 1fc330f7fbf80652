"""Canaries: tasks that only prove that their queue is served, and how fast.

Beat sends one to each queue on schedule. The process that runs it observes how long its way was; beat serves when it
last sent one, so that one which does not come back shows as a growing gap between the two.
"""

from __future__ import annotations

from typing import Any

#: Name of the canary task.
TASK = "canary.ping"


def add_canary(app: Any) -> Any:
    """Register the canary task with ``app`` and return it."""

    @app.task(  # type: ignore[untyped-decorator]
        name=TASK, bind=True, ignore_result=True, acks_late=False, reject_on_worker_lost=False
    )
    def ping(self: Any) -> None:
        """Say when, and after how long, this message arrived."""
        from workers.instrumentation.hooks import series  # noqa: PLC0415 - only where it runs

        counted = series()
        if counted is not None:
            counted.canary_returned(self.request)

    return ping


def canary_schedule(queues: tuple[str, ...], seconds: float) -> dict[str, dict[str, Any]]:
    """Entries for ``beat_schedule``: a canary to each queue every ``seconds``, none for 0.

    A canary expires before its second successor: a queue nobody serves does not fill with them.
    """
    if not seconds:
        return {}
    return {
        f"canary {queue}": {
            "task": TASK,
            "schedule": seconds,
            "options": {"queue": queue, "expires": 2 * seconds},
        }
        for queue in queues
    }
