"""What the exporter reads of a waiting or unacknowledged message: its stamps and its route, never its body.

Messages may be huge, so a script in Redis hands out no more than their last few kilobytes; kombu writes the body first
and headers and route after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from exporter.times import eta_seconds

TAIL = 16 * 1024
"""Bytes of a message that are fetched at most: more than headers take (argsrepr and kwargsrepr hold 1,024 each)."""


class _Headers(msgspec.Struct, gc=False):
    id: str | None = None
    eta: str | None = None
    enqueued_at: float | None = None


class _Info(msgspec.Struct, gc=False):
    exchange: str | None = None
    routing_key: str | None = None


class _Properties(msgspec.Struct, gc=False):
    delivery_info: _Info = msgspec.field(default_factory=_Info)
    delivery_tag: str | None = None


class _Message(msgspec.Struct, gc=False):
    headers: _Headers = msgspec.field(default_factory=_Headers)
    properties: _Properties = msgspec.field(default_factory=_Properties)


_message = msgspec.json.Decoder(_Message)
# The closing quote of the name is not escaped, so text inside an argument never matches.
_FIELDS = {
    name: re.compile(rf'"{name}":\s*{value}'.encode())
    for name, value in {
        "enqueued_at": r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)",
        "eta": r'"([^"\\]{1,64})"',
        "id": r'"([^"\\]{1,200})"',
        "delivery_tag": r'"([^"\\]{1,200})"',
        "exchange": r'"([^"\\]{0,200})"',
        "routing_key": r'"([^"\\]{0,200})"',
    }.items()
}


@dataclass(frozen=True, slots=True)
class Head:
    """The few facts of one message. Times are seconds since the epoch; ``None`` where the message does not say."""

    task_id: str | None = None
    tag: str | None = None
    enqueued_at: float | None = None
    eta: float | None = None
    exchange: str | None = None
    routing_key: str | None = None


def read_head(data: bytes) -> Head:
    """Read a message, or the end of one."""
    try:
        message = _message.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_end(data)
    headers, info = message.headers, message.properties.delivery_info
    return Head(
        headers.id,
        message.properties.delivery_tag,
        headers.enqueued_at,
        eta_seconds(headers.eta) if headers.eta else None,
        info.exchange,
        info.routing_key,
    )


def read_unacked(data: bytes) -> Head:
    """Read an entry of the unacked hash: a list of message, exchange and routing key."""
    try:
        message, exchange, routing_key = msgspec.json.decode(data, type=tuple[msgspec.Raw, str | None, str | None])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_end(data)
    head = read_head(bytes(message))
    if routing_key is None:
        return head
    return Head(head.task_id, head.tag, head.enqueued_at, head.eta, exchange, routing_key)


def _read_end(data: bytes) -> Head:
    found = {name: pattern.findall(data) for name, pattern in _FIELDS.items()}

    def text(name: str) -> str | None:
        return found[name][-1].decode("utf-8", "replace") if found[name] else None

    stamp, eta = text("enqueued_at"), text("eta")
    return Head(
        text("id"),
        text("delivery_tag"),
        float(stamp) if stamp else None,
        eta_seconds(eta) if eta else None,
        text("exchange"),
        text("routing_key"),
    )
