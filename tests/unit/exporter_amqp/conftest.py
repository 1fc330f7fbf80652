"""A real RabbitMQ for the tests of this folder, and a sink that remembers."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from recording_sink import RecordingSink

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


@pytest.fixture
def sink() -> RecordingSink:
    """A sink that remembers."""
    return RecordingSink()
