"""A guard against poison pills: messages that kill the process which runs them, and come back for more.

With ``acks_late`` and ``reject_on_worker_lost`` a message whose child dies is delivered again, for ever. The guard
counts the redeliveries of each message in Redis and, beyond a limit, moves the message aside instead of running
it: the whole message to a list from which a person can replay it, the failure to the result backend, so that
whoever waits is told.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from celery.exceptions import Reject

#: Where quarantined messages are kept, newest first; the list is bounded.
LIST_KEY = "stack:quarantine"
LIST_LIMIT = 1000
COUNT_KEY = "stack:redeliveries:"
COUNT_SECONDS = 86400

logger = logging.getLogger(__name__)


class Quarantined(Exception):  # noqa: N818 - reads as the state of the task, which is where it is seen
    """The result of a task that was redelivered too often and has been set aside."""


def guard(redis: Any, task: Any, limit: int, on_quarantine: Any = None) -> None:
    """Set the running ``task`` (a bound Celery task) aside where it was redelivered more than ``limit`` times.

    ``limit`` 0 turns the guard off. A first delivery costs nothing: only a message that the broker marks as
    redelivered is counted. Raises Celery's Reject for a message that is set aside.
    """
    request = task.request
    delivery = request.delivery_info or {}
    if not limit or not delivery.get("redelivered"):
        return
    key = COUNT_KEY + request.id
    with redis.pipeline() as pipe:
        pipe.incr(key)
        pipe.expire(key, COUNT_SECONDS)
        redeliveries = pipe.execute()[0]
    if redeliveries <= limit:
        return
    message = {
        "task": task.name,
        "id": request.id,
        "queue": delivery.get("routing_key"),
        "redeliveries": redeliveries,
        "args": request.args,
        "kwargs": request.kwargs,
        "root_id": request.root_id,
        "parent_id": request.parent_id,
    }
    with redis.pipeline() as pipe:
        pipe.lpush(LIST_KEY, json.dumps(message, default=repr))
        pipe.ltrim(LIST_KEY, 0, LIST_LIMIT - 1)
        pipe.delete(key)
        pipe.execute()
    if on_quarantine is not None:
        on_quarantine(task)
    outcome = f"redelivered {redeliveries} times, set aside in {LIST_KEY}"
    logger.error("%s[%s]: %s", task.name, request.id, outcome)
    reason = Quarantined(outcome)
    task.backend.mark_as_failure(request.id, reason, request=request)
    raise Reject(reason, requeue=False)
