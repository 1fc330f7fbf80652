"""Publishing to the broker and reading results, over the sample application."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Sequence
from typing import Any

from loadgen.follower import Outcome
from workers.catalogue import TASKS

#: The name under which an order is reported once its last step has ended.
WHOLE_ORDER = "order (all steps)"

#: Seconds until a broker that does not answer counts as a failed publish.
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 5, 15


class Producer:
    """The sample application as a producer. To be made after gevent has patched the sockets."""

    def __init__(self) -> None:
        from workers.app import app  # noqa: PLC0415 - reads its settings and ends the process on a bad one

        app.loader.import_default_modules()
        app.conf.broker_transport_options = {
            **app.conf.broker_transport_options,
            "socket_connect_timeout": CONNECT_TIMEOUT,
            "socket_timeout": ANSWER_TIMEOUT,
            # A broker that is away is said at once: a user that waits for it would publish less than its rate.
            "max_retries": 1,
            "interval_start": 0,
        }
        # One connection pool for all greenlets, and no subscription for every published task: results are read
        # with MGET. A subscription would have to be taken back for each, and greenlets would wait for one another.
        app.conf.result_backend_thread_safe = True
        self._app = app
        self._backend: Any = app.backend
        self._backend.on_task_call = lambda *_: None
        self._examples = {task.name: task.example for task in TASKS}

    def publish(self, name: str) -> str:
        """Publish a task with a fresh example; returns its id. Raises what Celery and the broker raise.

        Not tried again: a publish that fails is what is being measured.
        """
        args = copy.deepcopy(self._examples[name])
        if args and isinstance(args[0], dict):
            args[0]["order_id"] = f"o-{uuid.uuid4()}"
        return str(self._app.tasks[name].apply_async(args, retry=False).id)

    def has_result(self, name: str) -> bool:
        """Whether the task keeps a result that can be waited for."""
        return not self._app.tasks[name].ignore_result

    def outcomes(self, task_ids: Sequence[str]) -> dict[str, Outcome]:
        """The outcomes of those tasks that have ended."""
        found = self._backend.mget([self._backend.get_key_for_task(task_id) for task_id in task_ids])
        outcomes = {}
        for task_id, payload in zip(task_ids, found, strict=True):
            if payload is not None:
                outcome = _outcome(self._backend.decode(payload))
                if outcome:
                    outcomes[task_id] = outcome
        return outcomes


def _outcome(meta: dict[str, Any]) -> Outcome | None:
    state, result = meta["status"], meta["result"]
    if state == "SUCCESS":
        if isinstance(result, dict) and "last_step" in result:
            return Outcome(then=str(result["last_step"]), then_name=WHOLE_ORDER)
        return Outcome()
    if state in ("FAILURE", "REVOKED"):
        # The kind only: a message may hold what the task was given.
        kind = result.get("exc_type") if isinstance(result, dict) else None
        return Outcome(error=str(kind or state))
    return None
