"""Which queue a running task came from."""

from __future__ import annotations

from typing import Any

#: More names than this are not queues but routing keys made of data: they share one label value.
MAX_NAMES = 200
OTHER = "other"


class QueueNames:
    """Turns a message's delivery information into the name of its queue.

    Brokers deliver the exchange and routing key, not the queue. Where a queue of the application is bound to the
    two its name is taken, otherwise the routing key, which on Celery's default exchange is the queue's name.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._names: dict[tuple[str, str], str] = {}

    def of(self, delivery: dict[str, Any] | None) -> str:
        """The queue's name, with ``other`` for what has too many names to be one."""
        delivery = delivery or {}
        key = (delivery.get("exchange") or "", delivery.get("routing_key") or "")
        name = self._names.get(key)
        if name is None:
            name = self._look_up(*key)
            if len(self._names) < MAX_NAMES:
                self._names[key] = name
        return name

    def _look_up(self, exchange: str, routing_key: str) -> str:
        queues = self._app.amqp.queues
        for name, queue in queues.items():
            if queue.routing_key == routing_key and (queue.exchange.name == exchange or not exchange):
                return str(name)
        if routing_key in queues or len(self._names) < MAX_NAMES:
            return routing_key or OTHER
        return OTHER
