"""Faults that break a running fleet and are cleared without a restart.

A fault lives in the Redis hash ``stack:faults`` of the broker's database under a scope: ``task:<name>``,
``queue:<queue>`` or ``all``. Workers read the hash at most once a second and apply the narrowest fault that
fits when a task starts.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import logging
import os
import random
import signal
import time
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

KEY = "stack:faults"
CACHE_SECONDS = 1.0
#: A hung task looks this often whether its fault has been cleared.
HANG_POLL_SECONDS = 0.5
#: A retry that a fault asked for comes back quickly: the point of the fault is the storm.
RETRY_COUNTDOWN_SECONDS = 1.0
RETRIES_WITHOUT_END = 1_000_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """What goes wrong when a task starts. Rates are probabilities between 0 and 1, applied to each attempt."""

    fail_rate: float = 0
    #: Name of a builtin exception to fail with; RuntimeError where empty.
    exception: str = ""
    retry_rate: float = 0
    latency_seconds: float = 0
    hang: bool = False
    kill_child: bool = False

    def __post_init__(self) -> None:
        for name in ("fail_rate", "retry_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: write a number from 0 to 1")
        if not 0 <= self.latency_seconds <= 3600:
            raise ValueError(f"latency_seconds={self.latency_seconds!r}: write a number from 0 to 3600")
        if self.exception and not _is_exception(self.exception):
            raise ValueError(f"exception={self.exception!r}: write the name of a builtin exception")

    @property
    def exception_type(self) -> type[Exception]:
        """The type that a failing task raises."""
        return getattr(builtins, self.exception) if self.exception else RuntimeError


class RedisHash(Protocol):
    """The commands that faults need of a Redis client."""

    def hset(self, name: str, key: str, value: str) -> Any: ...
    def hdel(self, name: str, *keys: str) -> Any: ...
    def hgetall(self, name: str) -> Any: ...
    def delete(self, *names: str) -> Any: ...


def _is_exception(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, Exception)


def _check_scope(scope: str) -> None:
    kind, _, name = scope.partition(":")
    if scope != "all" and not (kind in ("task", "queue") and name):
        raise ValueError(f"scope={scope!r}: write task:<name>, queue:<queue> or all")


def set_fault(redis: RedisHash, scope: str, fault: Fault) -> None:
    """Put ``fault`` on ``scope``, in place of the one that is there."""
    _check_scope(scope)
    redis.hset(KEY, scope, json.dumps(asdict(fault)))


def clear_fault(redis: RedisHash, scope: str) -> None:
    """Take the fault off ``scope``; nothing happens where there is none."""
    _check_scope(scope)
    redis.hdel(KEY, scope)


def clear_all(redis: RedisHash) -> None:
    """Take every fault off."""
    redis.delete(KEY)


def read(redis: RedisHash) -> dict[str, Fault]:
    """All faults by scope. What does not read as a fault is left out, and a warning is logged."""
    known = {field.name for field in fields(Fault)}
    faults = {}
    for raw_scope, raw in redis.hgetall(KEY).items():
        scope = raw_scope.decode() if isinstance(raw_scope, bytes) else raw_scope
        try:
            faults[scope] = Fault(**{key: value for key, value in json.loads(raw).items() if key in known})
        except (ValueError, TypeError, AttributeError):
            logger.warning("the fault on %s is not readable and has no effect", scope)
    return faults


class Faults:
    """The faults as one process sees them, read from Redis at most once a second.

    A broker that cannot be asked leaves the faults as they were: a fault never becomes a second outage.
    """

    def __init__(self, redis: RedisHash) -> None:
        self._redis = redis
        self._faults: dict[str, Fault] = {}
        self._read_at = -CACHE_SECONDS

    def current(self, task: str, queue: str) -> Fault | None:
        """The fault that applies to ``task`` on ``queue``, the narrowest scope first."""
        now = time.monotonic()
        if now - self._read_at >= CACHE_SECONDS:
            self._read_at = now
            with contextlib.suppress(Exception):
                self._faults = read(self._redis)
        if not self._faults:
            return None
        return self._faults.get(f"task:{task}") or self._faults.get(f"queue:{queue}") or self._faults.get("all")

    def apply(self, task: Any, queue: str) -> None:
        """Do to the running ``task`` (a bound Celery task) what the fault on it says.

        Raises the fault's exception, or Celery's Retry.
        """
        fault = self.current(task.name, queue)
        if fault is None:
            return
        if fault.latency_seconds:
            time.sleep(fault.latency_seconds)
        while fault is not None and fault.hang:
            time.sleep(HANG_POLL_SECONDS)
            fault = self.current(task.name, queue)
        if fault is None:
            return
        if fault.kill_child:
            _kill_child()
        if fault.retry_rate and random.random() < fault.retry_rate:  # noqa: S311
            # For as long as the fault is there: a storm that ended in failures would be the other fault.
            raise task.retry(
                countdown=RETRY_COUNTDOWN_SECONDS,
                exc=fault.exception_type("asked to retry by a fault"),
                max_retries=RETRIES_WITHOUT_END,
            )
        if fault.fail_rate and random.random() < fault.fail_rate:  # noqa: S311
            raise fault.exception_type("asked to fail by a fault")


def _kill_child() -> None:
    """SIGKILL this process, where it is a child of a prefork pool: other pools would lose the whole worker."""
    from billiard.process import current_process  # noqa: PLC0415

    if getattr(current_process(), "_daemonic", False) or current_process().name != "MainProcess":
        os.kill(os.getpid(), signal.SIGKILL)
    logger.warning("a fault asks to kill the child process, but this pool has none: ignored")
