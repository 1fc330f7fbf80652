"""What exists in the broker's database: bindings, hence queues, and replies that nobody has fetched.

The keys are walked with SCAN, a bounded number at each reading, so that a database full of results costs little.
"""

from __future__ import annotations

from typing import Any

import redis

from exporter.redis_link import Layout

_BINDING = "_kombu.binding."
_REPLIES = ".reply."
_PIDBOX_ENDING = ".pidbox"
_KEYS_PER_SCAN = 1000
_SCANS = 10
_MAX_BINDINGS = 2000
_NOT_QUEUES = ("celeryev.", "celery@")
_NOT_QUEUE_ENDINGS = (".pidbox",)
_NOT_TASK_EXCHANGES = ("celeryev", "pidbox")


def is_task_queue(name: str) -> bool:
    """Whether a queue holds tasks: not events and not remote control."""
    return bool(name) and not name.startswith(_NOT_QUEUES) and not name.endswith(_NOT_QUEUE_ENDINGS)


class Keyspace:
    """The last full walk over the keys."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._cursor = 0
        self._pidboxes = 0
        self._exchanges: set[str] = set()
        self._known: set[str] = {"celery"}
        self._bindings: dict[tuple[str, str], str] = {}
        self.pidbox_keys: int | None = None
        """Reply queues that exist, once a walk has been completed."""

    def walk(self, client: redis.Redis) -> None:
        """Go on with the walk, and read the bindings that are known."""
        prefix = self._layout.prefix
        for _ in range(_SCANS):
            answer: Any = client.scan(self._cursor, match=None, count=_KEYS_PER_SCAN)
            self._cursor = int(answer[0])
            for raw in answer[1]:
                key = bytes(raw).decode("utf-8", "replace")
                if not key.startswith(prefix):
                    continue
                key = key[len(prefix) :]
                if key.endswith(_PIDBOX_ENDING) and _REPLIES in key and not key.startswith("_kombu."):
                    self._pidboxes += 1
                elif key.startswith(_BINDING) and not key.endswith(_NOT_TASK_EXCHANGES):
                    self._exchanges.add(key[len(_BINDING) :])
            if not self._cursor:
                self.pidbox_keys, self._pidboxes = self._pidboxes, 0
                self._known, self._exchanges = self._exchanges | {"celery"}, set()
                break
        self._read_bindings(client)

    def _read_bindings(self, client: redis.Redis) -> None:
        exchanges = sorted(self._known | self._exchanges)[:_MAX_BINDINGS]
        pipe = client.pipeline(transaction=False)
        for exchange in exchanges:
            pipe.smembers(f"{self._layout.prefix}{_BINDING}{exchange}")
        bindings = {}
        for exchange, members in zip(exchanges, pipe.execute(raise_on_error=False), strict=True):
            if isinstance(members, Exception):
                continue
            for member in members:
                parts = bytes(member).decode("utf-8", "replace").split(self._layout.separator)
                if len(parts) == 3 and is_task_queue(parts[2]):
                    bindings[(exchange, parts[0])] = parts[2]
        self._bindings = bindings

    def queues(self) -> set[str]:
        """The queues that are bound to an exchange."""
        return set(self._bindings.values())

    def queue_of(self, exchange: str | None, routing_key: str | None) -> str:
        """The queue that a message of this route went to; kombu's default exchange routes by the queue's name."""
        key = routing_key or ""
        return self._bindings.get((exchange or "", key)) or self._bindings.get((key, key)) or key
