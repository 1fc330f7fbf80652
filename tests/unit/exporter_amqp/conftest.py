"""A real RabbitMQ for the tests of this folder, and a sink that remembers."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest

from exporter.config import Settings
from harness.rabbitmq import PrivateRabbitMQ, private_rabbitmq


@pytest.fixture(scope="session")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    with private_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture
def rabbitmq(_broker: PrivateRabbitMQ) -> PrivateRabbitMQ:
    """A RabbitMQ that answers, whatever an earlier test did to it."""
    if _broker.broker is None or not _broker.broker.running:
        _broker.start()
    return _broker


@pytest.fixture
def settings(rabbitmq: PrivateRabbitMQ) -> Settings:
    """Settings for AMQP alone."""
    return Settings(broker_url=rabbitmq.url)


@pytest.fixture
def queue_name() -> str:
    """A queue of the test's own."""
    return f"q-{uuid4().hex[:8]}"


@dataclass
class RecordingSink:
    """An event sink that keeps what it is given."""

    up: threading.Event = field(default_factory=threading.Event)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)

    def connected(self) -> None:
        self.up.set()

    def deliver(self, hostname: str, body: bytes) -> None:
        self.bodies.append((hostname, body))

    def dropped(self, reason: str, count: int = 1) -> None:
        self.drops[reason] += count

    def queue_seen(self, name: str) -> None:
        """Not told by this source."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events so far, batches taken apart."""
        found = []
        for _hostname, body in list(self.bodies):
            decoded = json.loads(body)
            found += decoded if isinstance(decoded, list) else [decoded]
        return found


@pytest.fixture
def sink() -> RecordingSink:
    """A sink that remembers."""
    return RecordingSink()
