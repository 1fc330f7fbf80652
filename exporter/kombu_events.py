"""Events over kombu: RabbitMQ, and every other transport that the exporter has no path of its own for."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from typing import Any

import kombu
import msgspec
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.serialization import loads, prepare_accept_content

from exporter.config import Settings
from exporter.interfaces import BrokerUnavailableError, EventSink
from exporter.kombu_link import HEARTBEAT_SECONDS, KombuLink, errors, hang_up

_WAKE = 0.5
_MAX_MESSAGE = 8 * 1024 * 1024
# Celery's own receivers let the broker throw events away that are five seconds old. Here they wait as long as there is
# room for them; the queue is exclusive, so it goes with the connection.
_QUEUE_BYTES = 64 * 1024 * 1024
_QUEUE_EXPIRES = 60.0
_FANOUT_DRIVERS = frozenset({"redis", "gcpubsub"})
_JSON = "application/json"


class KombuEventSource:
    """The event stream of any broker that kombu speaks to (an :class:`~exporter.interfaces.EventSource`)."""

    def __init__(self, settings: Settings) -> None:
        self._link = KombuLink(settings)
        self._exchange = settings.event_exchange
        self._accept = prepare_accept_content(list(settings.accept_content))

    def consume(self, sink: EventSink, stop: threading.Event) -> None:
        """See :meth:`exporter.interfaces.EventSource.consume`."""
        reason = "no address"
        for connection in self._link.connections(heartbeats=True):
            listening = _Listening(sink, self._accept)
            try:
                listening.consume(connection, self._exchange, stop)
            except errors(connection) as error:
                reason = self._link.describe(error)
            finally:
                hang_up(connection, politely=stop.is_set())
            if stop.is_set():
                return
            if listening.connected:
                break
        raise BrokerUnavailableError(reason)


class _Listening:
    """One attempt: a connection with its queue."""

    def __init__(self, sink: EventSink, accept: Any) -> None:
        self.connected = False
        self._sink = sink
        self._accept = accept

    def consume(self, connection: kombu.Connection, exchange: str, stop: threading.Event) -> None:
        connection.connect()
        channel = connection.default_channel
        kind = "fanout" if connection.transport.driver_type in _FANOUT_DRIVERS else "topic"
        queue = kombu.Queue(
            f"{exchange}.{uuid.uuid4()}",
            exchange=kombu.Exchange(exchange, type=kind),
            routing_key="#",
            durable=False,
            auto_delete=True,
            exclusive=True,
            expires=_QUEUE_EXPIRES,
            max_length_bytes=_QUEUE_BYTES,
        )
        # Never cancelled: the queue and all that waits in it go with the connection.
        consumer = kombu.Consumer(channel, [queue], no_ack=True, on_message=self._take, accept=self._accept)
        consumer.consume()
        self.connected = True
        self._sink.connected()
        beat = time.monotonic()
        while not stop.is_set():
            with suppress(TimeoutError):
                connection.drain_events(timeout=_WAKE)
            now = time.monotonic()
            if now - beat > HEARTBEAT_SECONDS / 4:
                beat = now
                connection.heartbeat_check()

    def _take(self, message: Any) -> None:
        headers = message.headers if isinstance(message.headers, dict) else {}
        hostname = headers.get("hostname")
        body = message.body
        if isinstance(body, str):
            body = body.encode()
        if len(body) > _MAX_MESSAGE:
            self._sink.dropped("too_large")
            return
        if message.content_type != _JSON:
            body = self._as_json(body, message)
            if body is None:
                return
        self._sink.deliver(hostname if isinstance(hostname, str) else "", bytes(body))

    def _as_json(self, body: bytes, message: Any) -> bytes | None:
        """The message in JSON, or None where it is of a kind that the settings do not accept, or broken."""
        try:
            content = loads(body, message.content_type, message.content_encoding, accept=self._accept)
            return msgspec.json.encode(content, enc_hook=str)
        except ContentDisallowed:
            self._sink.dropped("content_type")
        except (DecodeError, ValueError, TypeError, RecursionError):
            self._sink.dropped("malformed")
        return None
