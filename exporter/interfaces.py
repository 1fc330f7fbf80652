"""What a broker must offer the exporter: a stream of events, and the state of its queues.

Redis is served by :mod:`exporter.redis_source` and :mod:`exporter.redis_queues`, every other transport by a kombu
source and the readers that go with it. The exporter only ever sees these protocols and values.

Threads: the exporter calls :meth:`EventSource.consume` in a thread of its own and :meth:`QueueReader.read` in another.
Both may block; neither is ever called while /metrics is being answered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol


class BrokerUnavailableError(Exception):
    """The broker cannot be reached, refused the login, or went away.

    The message must be one line that is fit for a log: host and reason, never a password.
    """


class EventSink(Protocol):
    """Where a source puts what it reads. Every method may be called from the source's own thread."""

    def connected(self) -> None:
        """The stream is up: from here on every published event is seen."""

    def deliver(self, hostname: str, body: bytes) -> None:
        """Take one event message.

        ``hostname`` is the node name in the message's ``hostname`` header (``celery@host``; empty when there is none),
        ``body`` the JSON text of one event (an object) or of a batch (a list of objects). A source that receives
        another content type turns it into JSON first, and only where the settings accept that type. Never raises,
        never blocks: what cannot be kept is counted as dropped.
        """

    def dropped(self, reason: str, count: int = 1) -> None:
        """Count messages that the source itself had to give up (``content_type``, ``malformed``, ...; a fixed set)."""

    def queue_seen(self, name: str) -> None:
        """Tell that a queue exists, where the source comes to know of one."""


class EventSource(Protocol):
    """The events of all workers and clients of one broker."""

    def consume(self, sink: EventSink, stop: threading.Event) -> None:
        """Connect, say :meth:`EventSink.connected`, deliver until ``stop`` is set (look twice a second).

        One attempt: returns when stopped, raises :exc:`BrokerUnavailableError` when the connection cannot be made or is
        lost. The exporter calls it again, with a growing pause between attempts.
        """


@dataclass(slots=True)
class QueueState:
    """One queue at one moment. ``None`` means that the broker does not tell, and the series is left out."""

    ready: int | None = None
    """Messages waiting in the broker, over all priorities."""
    ready_by_priority: dict[int, int] = field(default_factory=dict)
    """The same by priority, where the broker keeps priorities apart; the broker's own numbers."""
    unacked: int | None = None
    """Messages delivered to a worker and not acknowledged: running, prefetched and waiting for an ETA."""
    eta: int | None = None
    """Of the unacknowledged, those that wait for an ETA which is still to come."""
    consumers: int | None = None
    """Consumers that the broker itself counts."""
    oldest_age: float | None = None
    """Seconds since the oldest ready message was published; 0 when there is none."""
    oldest_age_exact: bool = False
    """True when ``oldest_age`` comes from a stamp, False when it is a lower bound."""
    oldest_age_by_priority: dict[int, float] = field(default_factory=dict)
    unacked_oldest_age: float | None = None
    """Seconds since the oldest unacknowledged message was delivered; 0 when there is none."""


@dataclass(slots=True)
class BrokerFacts:
    """What is true of the whole broker. ``None`` means not known, and the series is left out."""

    transport: str = ""
    version: str = ""
    memory_used_bytes: int | None = None
    memory_max_bytes: int | None = None
    """0 when the broker has no limit."""
    evicted_keys: int | None = None
    eviction_policy: str | None = None
    visibility_timeout_seconds: float | None = None
    pidbox_keys: int | None = None
    """Reply queues of remote control commands that exist now."""
    events_output_buffer_bytes: int | None = None
    """What the broker holds back for the exporter's own event connection."""
    connected_clients: int | None = None


@dataclass(slots=True)
class BrokerReading:
    """The result of one look at the broker."""

    queues: dict[str, QueueState]
    facts: BrokerFacts


class QueueReader(Protocol):
    """Reads the state of queues from the broker, without a worker's help."""

    def read(self, names: Iterable[str]) -> BrokerReading:
        """Read the named queues and every further queue that the reader can discover itself.

        A queue that does not exist is left out of the result, or reported with ``ready=0`` where it cannot be told from
        an empty one. Raises :exc:`BrokerUnavailableError`; the next call then connects afresh.
        """

    def close(self) -> None:
        """Give back connections; never raises."""
