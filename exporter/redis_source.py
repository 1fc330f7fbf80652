"""Events from Redis: the bytes of one PSUBSCRIBE connection, read as fast as they come and parsed elsewhere.

The thread that reads does nothing but read: Redis cuts off a subscriber that falls behind, so whatever the counting
thread is busy with, the socket is emptied. Parsing (hiredis) and decoding (msgspec) happen in the counting thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import hiredis
import msgspec
import redis

from exporter.content import JSON, Converter
from exporter.inbox import Inbox, Piece
from exporter.interfaces import BrokerUnavailableError, EventSink
from exporter.redis_link import ERRORS, RedisLink

_READ = 256 * 1024
_WAKE = 0.25
_PING_AFTER = 2.0
_DEAD_AFTER = 8.0
_ASK_SENTINEL_EVERY = 5.0
_FULL_PAUSE = 0.005
_MAX_MESSAGE = 8 * 1024 * 1024
_SEEN_TAGS = 2000


class _Headers(msgspec.Struct, gc=False):
    hostname: str = ""


class _Envelope(msgspec.Struct, gc=False):
    """kombu's message; ``body`` is base64 text there, which msgspec decodes on the way to bytes."""

    body: bytes
    content_type: str = msgspec.field(name="content-type", default="")
    headers: _Headers = msgspec.field(default_factory=_Headers)


class _Encoded(msgspec.Struct, gc=False):
    content_encoding: str = msgspec.field(name="content-encoding", default="")


class _Properties(msgspec.Struct, gc=False):
    delivery_tag: str = ""


class _Tagged(msgspec.Struct, gc=False):
    properties: _Properties = msgspec.field(default_factory=_Properties)


_envelope = msgspec.json.Decoder(_Envelope)
_encoded = msgspec.json.Decoder(_Encoded)
_tagged = msgspec.json.Decoder(_Tagged)


class RedisStream:
    """One connection's bytes turned into messages. Made by the reading thread, then used by the counting thread."""

    def __init__(self, drop: Callable[[str], None], *, once: bool, accept: Iterable[str] = ("json",)) -> None:
        self._convert = Converter(accept)
        self.reader = hiredis.Reader()
        self.broken = False
        self._drop = drop
        # Two topics may carry the same message: remember the tags of the last ones.
        self._tags: dict[str, None] | None = {} if once else None

    def __call__(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """Yield node name and body of every message that ``data`` completes."""
        reader = self.reader
        gets = reader.gets
        reader.feed(data)
        decode = _envelope.decode
        while True:
            try:
                reply = gets()
            except hiredis.ProtocolError:
                self.broken = True
                self._drop("malformed")
                return
            if reply is False:
                return
            if reply.__class__ is not list or len(reply) < 3 or reply[0] not in (b"pmessage", b"message"):
                continue
            message = reply[-1]
            if len(message) > _MAX_MESSAGE:
                self._drop("too_large")
                continue
            try:
                envelope = decode(message)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._drop("malformed")
                continue
            body: bytes | None = envelope.body
            if envelope.content_type != JSON:
                body = self._converted(envelope, message)
            if body is None or (self._tags is not None and self._seen(message)):
                continue
            yield envelope.headers.hostname, body

    def _converted(self, envelope: _Envelope, message: bytes) -> bytes | None:
        try:
            encoding = _encoded.decode(message).content_encoding
            body = self._convert(envelope.body, envelope.content_type, encoding)
        except (ValueError, msgspec.DecodeError):
            self._drop("malformed")
            return None
        if body is None:
            self._drop("content_type")
        return body

    def _seen(self, message: bytes) -> bool:
        tags = self._tags
        if tags is None:
            return False
        try:
            tag = _tagged.decode(message).properties.delivery_tag
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        if not tag:
            return False
        if tag in tags:
            return True
        tags[tag] = None
        if len(tags) > _SEEN_TAGS:
            del tags[next(iter(tags))]
        return False


class RedisEventSource:
    """The event stream of a Redis broker (an :class:`~exporter.interfaces.EventSource`)."""

    def __init__(self, link: RedisLink, inbox: Inbox, event_exchange: str, accept: Iterable[str] = ("json",)) -> None:
        self._accept = tuple(accept)
        self._link = link
        self._inbox = inbox
        layout = link.layout
        self._pattern = layout.patterns
        ending = "/*" if layout.patterns else ""
        escape = _glob_escaped if layout.patterns else str
        self._topics = [
            escape(f"{layout.prefix}{topic}{event_exchange}") + ending for topic in dict.fromkeys(layout.topics)
        ]
        self._subscribed = False
        self.client_id: int | None = None
        """The broker's number for the event connection while there is one."""

    def consume(self, sink: EventSink, stop: threading.Event) -> None:
        """See :meth:`exporter.interfaces.EventSource.consume`."""
        reason = "no address"
        for client in self._link.clients():
            connection: Any = client.connection_pool.make_connection()
            self._subscribed = False
            try:
                self._consume(connection, sink, stop)
            except (*ERRORS, hiredis.ProtocolError) as error:
                reason = self._link.describe(error)
                if self._subscribed:
                    break
            else:
                return
            finally:
                self.client_id = None
                connection.disconnect()
                client.close()
        raise BrokerUnavailableError(reason)

    def _consume(self, connection: Any, sink: EventSink, stop: threading.Event) -> None:
        connection.connect()
        self.client_id = _client_id(connection)
        connection.send_command("PSUBSCRIBE" if self._pattern else "SUBSCRIBE", *self._topics)
        # redis-py's own parsers take the socket from this attribute too.
        sock = connection._sock
        sock.settimeout(_WAKE)
        stream = RedisStream(sink.dropped, once=len(self._topics) > 1, accept=self._accept)
        self._subscribe(stream.reader, sock)
        self._subscribed = True
        sink.connected()
        buffer = bytearray(_READ)
        view = memoryview(buffer)
        inbox = self._inbox
        master = self._link.addresses()[0] if self._link.by_sentinel else None
        heard = pinged = asked = time.monotonic()
        # What came together with the confirmation is in the reader already.
        inbox.put(Piece(heard, b"", stream))
        while not stop.is_set():
            if stream.broken:
                raise ConnectionError("what came was not the Redis protocol")
            if inbox.full:
                stop.wait(_FULL_PAUSE)
                continue
            try:
                count = sock.recv_into(buffer)
            except TimeoutError:
                count = -1
            now = time.monotonic()
            if count > 0:
                inbox.put(Piece(now, bytes(view[:count]), stream))
                heard = now
            elif count == 0:
                raise ConnectionError("connection closed by the server")
            elif now - heard > _DEAD_AFTER:
                raise TimeoutError(f"no answer for {_DEAD_AFTER:.0f} s")
            if now - max(heard, pinged) > _PING_AFTER:
                sock.sendall(b"*1\r\n$4\r\nPING\r\n")
                pinged = now
            if master is not None and now - asked > _ASK_SENTINEL_EVERY:
                asked = now
                if self._link.addresses()[0] != master:
                    raise ConnectionError("Sentinel names another master")

    def _subscribe(self, reader: hiredis.Reader, sock: Any) -> None:
        """Wait until every subscription is confirmed."""
        deadline = time.monotonic() + _DEAD_AFTER
        missing = len(self._topics)
        while missing:
            reply = reader.gets()
            if reply is False:
                if time.monotonic() > deadline:
                    raise TimeoutError("the subscription was not confirmed")
                try:
                    data = sock.recv(4096)
                except TimeoutError:
                    continue
                if not data:
                    raise ConnectionError("connection closed by the server")
                reader.feed(data)
            elif isinstance(reply, Exception):
                raise redis.ResponseError(str(reply))
            elif isinstance(reply, list) and reply and reply[0] in (b"psubscribe", b"subscribe"):
                missing -= 1


def _client_id(connection: Any) -> int | None:
    connection.send_command("CLIENT", "ID")
    try:
        return int(connection.read_response())
    except (redis.ResponseError, TypeError, ValueError):
        return None


def _glob_escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\*?[]" else char for char in text)
