"""Every broker that is not Redis: events through kombu, queues from the broker itself."""

from __future__ import annotations

from exporter.amqp_queues import KombuQueueReader
from exporter.config import Settings
from exporter.interfaces import EventSource, QueueReader
from exporter.kombu_events import KombuEventSource


def connect(settings: Settings) -> tuple[EventSource, QueueReader]:
    """Return the event source and the queue reader for this broker, unconnected."""
    return KombuEventSource(settings), KombuQueueReader(settings)
