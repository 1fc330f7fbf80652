"""The events of a fleet as they pass through Redis, to tell what the workers lost from what the exporter missed."""

from __future__ import annotations

import base64
import json
import threading
from types import TracebackType
from typing import Any

import redis

from harness.private_redis import PrivateRedis


class Tap:
    """Keeps every event of the broker for the time of a block."""

    def __init__(self, broker: PrivateRedis) -> None:
        self.events: list[dict[str, Any]] = []
        self.envelopes: dict[str, dict[str, Any]] = {}  # the last one of each routing key
        self._stop = threading.Event()
        self._client = broker.client()
        self._channel = self._client.pubsub()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Tap:
        self._channel.psubscribe("/0.celeryev/*")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(10)
        self._channel.close()
        self._client.close()

    def ids(self, name: str) -> set[str]:
        """The ids of the tasks of this name."""
        return {event["uuid"] for event in list(self.events) if event.get("name") == name}

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                message = self._channel.get_message(ignore_subscribe_messages=True, timeout=0.5)
            except redis.RedisError:
                return
            if message:
                envelope = json.loads(message["data"])
                self.envelopes[envelope["properties"]["delivery_info"]["routing_key"]] = envelope
                body = json.loads(base64.b64decode(envelope["body"]))
                self.events += body if isinstance(body, list) else [body]
