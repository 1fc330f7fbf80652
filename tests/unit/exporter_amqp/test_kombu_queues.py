"""Queues by passive declaration and by the management API, against a real RabbitMQ."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import kombu
import pytest

from exporter.amqp_queues import KombuQueueReader
from exporter.config import Settings
from exporter.interfaces import BrokerUnavailableError, QueueState
from harness.ports import free_ports
from harness.rabbitmq import PrivateRabbitMQ
from harness.wait import until

pytestmark = pytest.mark.rabbitmq
DEADLINE = 60
_UNREADY = (BrokerUnavailableError,)


@pytest.fixture
def with_api(settings: Settings, rabbitmq: PrivateRabbitMQ) -> Settings:
    """Settings with the management API; the broker's own user asks it."""
    return replace(settings, management_url=f"http://127.0.0.1:{rabbitmq.management_port}")


@contextmanager
def reader_of(settings: Settings) -> Iterator[KombuQueueReader]:
    """A reader that is closed in the end."""
    reader = KombuQueueReader(settings)
    try:
        yield reader
    finally:
        reader.close()


@contextmanager
def five_messages_two_taken(url: str, name: str) -> Iterator[None]:
    """A queue with three ready messages and two that a consumer has not acknowledged."""
    with kombu.Connection(url) as connection:
        channel = connection.channel()
        queue = kombu.Queue(name)(channel)
        queue.declare()
        channel.basic_qos(0, 2, False)
        taken: list[object] = []
        for number in range(5):
            connection.Producer().publish({"number": number}, routing_key=name)
        with kombu.Consumer(channel, [queue], on_message=taken.append):
            while len(taken) < 2:
                connection.drain_events(timeout=DEADLINE)
            yield
        for message in taken:
            message.reject()  # type: ignore[attr-defined]
        queue.delete()


def test_declaration_tells_ready_and_consumers(settings: Settings, rabbitmq: PrivateRabbitMQ, queue_name: str) -> None:
    with five_messages_two_taken(rabbitmq.url, queue_name), reader_of(settings) as reader:
        reading = reader.read([queue_name])
    assert reading.queues == {queue_name: QueueState(ready=3, consumers=1)}
    assert reading.facts.transport == "amqp"
    assert reading.facts.version[0].isdigit()


def test_api_tells_unacknowledged_too_and_finds_the_queue_itself(
    with_api: Settings, rabbitmq: PrivateRabbitMQ, queue_name: str
) -> None:
    with five_messages_two_taken(rabbitmq.url, queue_name), reader_of(with_api) as reader:

        def state() -> QueueState | None:
            found = reader.read([]).queues.get(queue_name)
            return found if found and found.unacked == 2 and found.consumers == 1 else None

        found = until(state, "the statistics to be up to date", DEADLINE)
        facts = reader.read([]).facts
    assert (found.ready, found.unacked, found.consumers) == (3, 2, 1)
    assert facts.memory_used_bytes > 1_000_000
    assert facts.memory_max_bytes > facts.memory_used_bytes
    assert facts.connected_clients >= 1
    assert facts.version.count(".") == 2


def test_the_age_is_told_where_messages_are_stamped(
    with_api: Settings, rabbitmq: PrivateRabbitMQ, queue_name: str
) -> None:
    with kombu.Connection(rabbitmq.url) as connection, reader_of(with_api) as reader:
        queue = kombu.Queue(queue_name)(connection.channel())
        queue.declare()
        connection.Producer().publish({}, routing_key=queue_name)
        plain = until(lambda: _counted(reader, queue_name, 1), "the message to be counted", DEADLINE)
        assert (plain.oldest_age, plain.oldest_age_exact) == (None, False)
        queue.purge()
        connection.Producer().publish({}, routing_key=queue_name, timestamp=int(time.time()) - 100)

        def age() -> QueueState | None:
            state = reader.read([]).queues[queue_name]
            return state if state.oldest_age is not None else None

        stamped = until(age, "the age to be told", DEADLINE)
        assert 99 <= stamped.oldest_age < 100 + DEADLINE
        assert stamped.oldest_age_exact
        queue.delete()


def _counted(reader: KombuQueueReader, name: str, ready: int) -> QueueState | None:
    state = reader.read([]).queues.get(name)
    return state if state and state.ready == ready else None


def test_leaves_out_what_is_not_there_and_reads_on(
    settings: Settings, rabbitmq: PrivateRabbitMQ, queue_name: str
) -> None:
    with kombu.Connection(rabbitmq.url) as other, reader_of(settings) as reader:
        mine = kombu.Queue(f"{queue_name}-private", exclusive=True)(other.channel())
        mine.declare()
        queue = kombu.Queue(queue_name)(other.channel())
        queue.declare()
        for _ in range(2):
            reading = reader.read([f"{queue_name}-missing", f"{queue_name}-private", queue_name])
            assert list(reading.queues) == [queue_name]
        queue.delete()


def test_queues_that_hold_no_tasks_are_not_reported(
    with_api: Settings, rabbitmq: PrivateRabbitMQ, queue_name: str
) -> None:
    names = [f"{queue_name}.celery.pidbox", f"{queue_name}.reply.celery.pidbox", f"celeryev.{queue_name}"]
    names += ["celery_delayed_27", queue_name]
    with kombu.Connection(rabbitmq.url) as connection, reader_of(with_api) as reader:
        queues = [kombu.Queue(name)(connection.channel()) for name in names]
        queues.append(kombu.Queue(f"{queue_name}-private", exclusive=True)(connection.channel()))
        for queue in queues:
            queue.declare()
        until(lambda: queue_name in reader.read([]).queues, "the queue to be listed", DEADLINE)
        reading = reader.read([])
        for queue in queues:
            queue.delete()
    assert {queue.name for queue in queues} & set(reading.queues) == {queue_name}
    assert reading.facts.pidbox_keys == 1


def test_declares_when_the_api_is_silent_and_says_so_once(
    settings: Settings, rabbitmq: PrivateRabbitMQ, queue_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = f"http://celery:secret-word@127.0.0.1:{free_ports(1)[0]}"
    with (
        caplog.at_level(logging.INFO),
        five_messages_two_taken(rabbitmq.url, queue_name),
        reader_of(replace(settings, management_url=nobody)) as reader,
    ):
        for _ in range(3):
            reading = reader.read([queue_name])
    assert reading.queues == {queue_name: QueueState(ready=3, consumers=1)}
    said = [record.getMessage() for record in caplog.records if "management API" in record.getMessage()]
    assert len(said) == 1
    assert "secret-word" not in said[0]


def test_a_refused_login_at_the_api_is_said_without_the_password(
    settings: Settings, rabbitmq: PrivateRabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://celery:secret-word@127.0.0.1:{rabbitmq.management_port}/api/"
    with caplog.at_level(logging.INFO), reader_of(replace(settings, management_url=url)) as reader:
        assert reader.read([]).queues == {}
    assert "status 401" in caplog.text
    assert "secret-word" not in caplog.text


def test_says_when_the_broker_is_gone_and_reads_again_when_it_is_back(
    with_api: Settings, settings: Settings, rabbitmq: PrivateRabbitMQ, queue_name: str
) -> None:
    with kombu.Connection(rabbitmq.url) as connection:
        kombu.Queue(queue_name)(connection.channel()).declare()
    with reader_of(settings) as plain, reader_of(with_api) as informed:
        plain.read([queue_name])
        informed.read([queue_name])
        rabbitmq.kill()
        for reader in (plain, informed):
            with pytest.raises(BrokerUnavailableError) as gone:
                reader.read([])  # even where there is nothing to ask for
            assert rabbitmq.password not in str(gone.value)
        rabbitmq.start()
        for reader in (plain, informed):
            # At once, though the API does not know yet what is in the queue.
            assert reader.read([queue_name]).queues[queue_name].ready == 0
    with kombu.Connection(rabbitmq.url) as connection:
        kombu.Queue(queue_name)(connection.channel()).delete()


def test_a_broker_that_answers_nothing_is_given_up(
    settings: Settings, rabbitmq: PrivateRabbitMQ, queue_name: str
) -> None:
    with kombu.Connection(rabbitmq.url) as connection, reader_of(settings) as reader:
        queue = kombu.Queue(queue_name)(connection.channel())
        queue.declare()
        assert queue_name in reader.read([queue_name]).queues
        with rabbitmq.stopped(), pytest.raises(BrokerUnavailableError):
            reader.read([queue_name])
        until(lambda: _counted_in(reader, queue_name), "the queue to be read again", DEADLINE, unready=_UNREADY)
        queue.delete()


def _counted_in(reader: KombuQueueReader, name: str) -> QueueState | None:
    return reader.read([name]).queues.get(name)


def test_a_transport_without_consumers_does_not_tell_of_any(queue_name: str) -> None:
    settings = Settings(broker_url="memory://")
    with kombu.Connection("memory://") as connection, reader_of(settings) as reader:
        connection.SimpleQueue(queue_name).put({"number": 1})
        reading = reader.read([queue_name, f"{queue_name}-missing"])
    assert reading.queues == {queue_name: QueueState(ready=1)}
