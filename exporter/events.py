"""The events of Celery's workers and clients, decoded to the few fields that count.

Nothing else of an event is ever turned into an object: arguments and results stay bytes and are dropped with their
message. The classes are untracked by the garbage collector (they hold only text and numbers).
"""

from __future__ import annotations

import msgspec


class Sent(msgspec.Struct, tag="task-sent", tag_field="type", gc=False):
    """A client has published a task. ``timestamp`` is the client's clock, seconds since the epoch."""

    uuid: str
    name: str
    timestamp: float
    queue: str | None = None
    eta: str | None = None
    retries: int | None = None


class Received(msgspec.Struct, tag="task-received", tag_field="type", gc=False):
    """A worker holds the message."""

    uuid: str
    timestamp: float
    name: str | None = None
    eta: str | None = None
    retries: int | None = None


class Started(msgspec.Struct, tag="task-started", tag_field="type", gc=False):
    """A worker runs the task. ``timestamp`` is the worker's clock."""

    uuid: str
    timestamp: float


class Succeeded(msgspec.Struct, tag="task-succeeded", tag_field="type", gc=False):
    """The task returned; ``runtime`` in seconds."""

    uuid: str
    runtime: float | None = None


class Failed(msgspec.Struct, tag="task-failed", tag_field="type", gc=False):
    """The task raised, ran out of time, or its process died."""

    uuid: str
    exception: str | None = None
    traceback: str | None = None


class Retried(msgspec.Struct, tag="task-retried", tag_field="type", gc=False):
    """This attempt failed and another was published."""

    uuid: str
    exception: str | None = None
    traceback: str | None = None


class Rejected(msgspec.Struct, tag="task-rejected", tag_field="type", gc=False):
    """The worker refused the message; ``requeue`` says whether it went back to the queue."""

    uuid: str
    timestamp: float = 0.0
    requeue: bool | None = None


class Revoked(msgspec.Struct, tag="task-revoked", tag_field="type", gc=False):
    """The task expired, was terminated, or was revoked before it started."""

    uuid: str
    terminated: bool | None = None
    expired: bool | None = None


class Cancelled(msgspec.Struct, tag="task-cancelled", tag_field="type", gc=False):
    """The worker gave the task up because it lost its connection; the broker will deliver it again."""

    uuid: str
    timestamp: float = 0.0


class _WorkerEvent(msgspec.Struct, tag_field="type", gc=False):
    hostname: str
    timestamp: float
    pid: int = 0
    freq: float | None = None
    active: int | None = None
    processed: int | None = None
    sw_ident: str | None = None
    sw_ver: str | None = None


class Heartbeat(_WorkerEvent, tag="worker-heartbeat", gc=False):
    """A sign of life, every ``freq`` seconds; ``processed`` counts the tasks accepted by this process ``pid``."""


class Online(_WorkerEvent, tag="worker-online", gc=False):
    """The worker has started."""


class Offline(_WorkerEvent, tag="worker-offline", gc=False):
    """The worker stops, and says so."""


Event = (
    Sent
    | Received
    | Started
    | Succeeded
    | Failed
    | Retried
    | Rejected
    | Revoked
    | Cancelled
    | Heartbeat
    | Online
    | Offline
)

TYPES: tuple[tuple[type[msgspec.Struct], str], ...] = tuple(
    (kind, str(kind.__struct_config__.tag))
    for kind in (
        Sent, Received, Started, Succeeded, Failed, Retried, Rejected, Revoked, Cancelled, Heartbeat, Online, Offline,
    )
)  # fmt: skip
"""Every class with the ``type`` it stands for."""

_one = msgspec.json.Decoder(Event)
_many = msgspec.json.Decoder(list[Event])
_raw = msgspec.json.Decoder(list[msgspec.Raw])


class _Kind(msgspec.Struct):
    type: str


_kind = msgspec.json.Decoder(_Kind)
_known = frozenset(tag for _, tag in TYPES)


def decode(body: bytes, dropped: dict[str, int]) -> list[Event]:
    """Return the events in one message body: a JSON object, or a list of them.

    What is not an event is left out and counted in ``dropped`` by reason: ``unknown_type`` for events of a type of
    somebody else's making, ``malformed`` for everything else.
    """
    if body[:1] == b"[":
        try:
            return _many.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _decode_each(body, dropped)
    try:
        return [_one.decode(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _count(body, dropped)
        return []


def _decode_each(body: bytes, dropped: dict[str, int]) -> list[Event]:
    """One bad event must not cost the whole batch."""
    try:
        parts = _raw.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        dropped["malformed"] = dropped.get("malformed", 0) + 1
        return []
    events = []
    for part in parts:
        try:
            events.append(_one.decode(part))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            _count(bytes(part), dropped)
    return events


def _count(body: bytes, dropped: dict[str, int]) -> None:
    try:
        reason = "malformed" if _kind.decode(body).type in _known else "unknown_type"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reason = "malformed"
    dropped[reason] = dropped.get(reason, 0) + 1
