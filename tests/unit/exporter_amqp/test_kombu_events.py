"""The event source over kombu, against a real RabbitMQ and what Celery itself publishes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import kombu
import pytest
from celery import Celery
from recording_sink import RecordingSink

from exporter.config import Settings
from exporter.interfaces import BrokerUnavailableError
from exporter.kombu_events import KombuEventSource
from harness.rabbitmq import PrivateRabbitMQ
from harness.wait import until

pytestmark = pytest.mark.rabbitmq
DEADLINE = 60


@contextmanager
def consuming(settings: Settings, sink: RecordingSink) -> Iterator[Callable[[], BaseException | None]]:
    """The source at work in a thread of its own; what is yielded waits for its end and returns what it raised."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def consume() -> None:
        try:
            KombuEventSource(settings).consume(sink, stop)
        except BrokerUnavailableError as error:
            raised.append(error)

    thread = threading.Thread(target=consume, daemon=True)
    thread.start()

    def end() -> BaseException | None:
        thread.join(DEADLINE)
        assert not thread.is_alive()
        return raised[0] if raised else None

    try:
        until(lambda: sink.up.is_set() or not thread.is_alive(), "the source to be connected", DEADLINE)
        yield end
    finally:
        stop.set()
        thread.join(DEADLINE)


def publish(url: str, body: object, **options: object) -> None:
    """Publish to the exchange of events as any client could."""
    exchange = kombu.Exchange("celeryev", type="topic")
    with kombu.Connection(url) as connection, connection.Producer(exchange=exchange) as producer:
        producer.publish(body, routing_key="task.sent", declare=[exchange], **options)


def test_delivers_what_celery_dispatches(settings: Settings, rabbitmq: PrivateRabbitMQ, sink: RecordingSink) -> None:
    with consuming(settings, sink), Celery(broker=rabbitmq.url, set_as_current=False) as app:
        dispatcher = app.events.Dispatcher(app.connection_for_write(), hostname="one@host", buffer_group={"task"})
        dispatcher.send("worker-heartbeat", freq=2, processed=3)
        dispatcher.send("task-received", uuid="a", name="add")
        dispatcher.send("task-started", uuid="a")
        dispatcher.flush(groups=["task"])
        until(lambda: len(sink.events) >= 3, "three events", DEADLINE)
        dispatcher.close()
    assert [event["type"] for event in sink.events] == ["worker-heartbeat", "task-received", "task-started"]
    assert sink.events[0]["processed"] == 3
    assert {hostname for hostname, _body in sink.bodies} == {"one@host"}
    assert len(sink.bodies) == 2  # the two task events are one message
    assert not sink.drops


def test_its_queue_keeps_events_and_goes_with_it(
    settings: Settings, rabbitmq: PrivateRabbitMQ, sink: RecordingSink
) -> None:
    def own() -> list[dict[str, object]]:
        found = rabbitmq.api("queues/%2F").json()
        return [queue for queue in found if queue["name"].startswith("celeryev.")]

    with consuming(settings, sink):
        (queue,) = until(own, "the queue of events", DEADLINE)
        assert queue["exclusive"]
        assert "x-message-ttl" not in queue["arguments"]
        assert queue["arguments"]["x-max-length-bytes"] > 0
    until(lambda: not own(), "the queue of events to be gone", DEADLINE)


def test_drops_and_counts_what_it_may_not_read(
    settings: Settings, rabbitmq: PrivateRabbitMQ, sink: RecordingSink
) -> None:
    with consuming(settings, sink):
        publish(rabbitmq.url, {"type": "task-sent"}, serializer="pickle")
        publish(rabbitmq.url, b"{" * 10, content_type="application/x-unknown", content_encoding="binary")
        publish(rabbitmq.url, b"x" * (8 * 1024 * 1024 + 1), content_type="application/json", content_encoding="utf-8")
        publish(rabbitmq.url, {"type": "task-sent", "uuid": "last"})
        until(lambda: sink.events, "the last message", DEADLINE)
    assert sink.drops == {"content_type": 2, "too_large": 1}
    assert [event["uuid"] for event in sink.events] == ["last"]


def test_reads_other_content_only_where_it_is_accepted(
    settings: Settings, rabbitmq: PrivateRabbitMQ, sink: RecordingSink
) -> None:
    with consuming(replace(settings, accept_content=("json", "pickle")), sink):
        publish(rabbitmq.url, {"type": "task-sent", "uuid": "p"}, serializer="pickle")
        publish(rabbitmq.url, b"no pickle", content_type="application/x-python-serialize", content_encoding="binary")
        publish(rabbitmq.url, {"type": "task-sent", "uuid": "last"}, compression="zlib")
        until(lambda: len(sink.events) >= 2, "the last message", DEADLINE)
    assert [event["uuid"] for event in sink.events] == ["p", "last"]
    assert sink.drops == {"malformed": 1}


def test_says_when_the_broker_goes_and_comes_back(
    settings: Settings, rabbitmq: PrivateRabbitMQ, sink: RecordingSink
) -> None:
    with consuming(settings, sink) as end:
        assert sink.up.is_set()
        rabbitmq.kill()
        error = end()
    assert isinstance(error, BrokerUnavailableError)
    with pytest.raises(BrokerUnavailableError) as refused:
        KombuEventSource(settings).consume(RecordingSink(), threading.Event())
    for text in (str(error), str(refused.value)):
        assert rabbitmq.password not in text
        assert len(text.splitlines()) == 1
    rabbitmq.start()
    again = RecordingSink()
    with consuming(settings, again):
        publish(rabbitmq.url, {"type": "task-sent", "uuid": "after"})
        until(lambda: again.events, "an event after the restart", DEADLINE)


def test_a_broker_that_falls_silent_is_given_up(
    settings: Settings, rabbitmq: PrivateRabbitMQ, sink: RecordingSink
) -> None:
    with consuming(settings, sink) as end, rabbitmq.stopped():
        assert isinstance(end(), BrokerUnavailableError)


def test_says_that_the_login_is_refused_without_saying_the_password(rabbitmq: PrivateRabbitMQ) -> None:
    wrong = f"amqp://celery:not-the-password@127.0.0.1:{rabbitmq.amqp_port}//"
    with pytest.raises(BrokerUnavailableError) as refused:
        KombuEventSource(Settings(broker_url=wrong)).consume(RecordingSink(), threading.Event())
    assert "not-the-password" not in str(refused.value)
    assert "refused" in str(refused.value).lower()


def test_tries_every_address(rabbitmq: PrivateRabbitMQ, sink: RecordingSink) -> None:
    settings = Settings(broker_url=f"amqp://celery:x@127.0.0.1:1//;{rabbitmq.url}")
    with consuming(settings, sink):
        publish(rabbitmq.url, {"type": "task-sent", "uuid": "second"})
        until(lambda: sink.events, "an event from the second address", DEADLINE)
