"""Asking the workers what no event tells: their pool, its size, and the queues they read.

One round is two broadcasts whose answers come to one reply queue; it ends as soon as every worker that is known to be
up has answered both, and takes the reply queue away. It runs in a thread of its own and nothing ever waits for it.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Collection, Mapping
from typing import Any

from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.utils.uuid import uuid

from exporter.config import Settings
from exporter.interfaces import BrokerUnavailableError
from exporter.redact import Redactor
from exporter.workers import WorkerAnswer

log = logging.getLogger("exporter.inspection")

_REPLY_EXPIRES = 30.0
_QUEUES_PER_WORKER = 200


def kombu_connection(settings: Settings) -> Connection:
    """Return an unconnected kombu connection to the broker, with the fleet's options."""
    options = dict(settings.transport_options)
    if settings.is_redis:
        options.setdefault("socket_connect_timeout", 3.0)
        options.setdefault("socket_timeout", 5.0)
    ssl = dict(settings.ssl_options)
    if ssl and settings.is_redis:
        ssl = {key if key.startswith("ssl_") else f"ssl_{key}": value for key, value in ssl.items()}
    return Connection(
        settings.broker_url,
        transport_options=options,
        ssl=ssl or settings.scheme == "rediss",
        connect_timeout=3.0,
    )


class Inspector:
    """Asks all workers; the answers say only what was understood."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redact = Redactor.of_urls(settings.broker_url, settings.broker_password)
        namespace = settings.control_exchange
        self._exchange = Exchange(f"{namespace}.pidbox", type="fanout", durable=False, delivery_mode="transient")
        self._reply_exchange = Exchange(
            f"reply.{namespace}.pidbox", type="direct", durable=False, delivery_mode="transient"
        )
        self._id = uuid()

    def ask(self, expected: Collection[str]) -> list[WorkerAnswer]:
        """Ask, and wait until every worker in ``expected`` has answered or the time is up.

        :raises BrokerUnavailableError: the question could not be sent.
        """
        try:
            with kombu_connection(self._settings) as connection:
                return self._ask(connection, set(expected))
        except (BrokerUnavailableError, MemoryError):
            raise
        except Exception as error:  # every transport has errors of its own
            raise BrokerUnavailableError(self._redact(f"asking the workers failed: {error}")) from None

    def _ask(self, connection: Any, expected: set[str]) -> list[WorkerAnswer]:
        channel = connection.default_channel
        queue = Queue(
            f"{self._id}.{self._reply_exchange.name}",
            exchange=self._reply_exchange,
            routing_key=self._id,
            durable=False,
            exclusive=True,
            auto_delete=True,
            expires=_REPLY_EXPIRES,
        )(channel)
        tickets = {uuid(): "stats", uuid(): "active_queues"}
        answers: dict[str, dict[str, Any]] = {"stats": {}, "active_queues": {}}

        def take(body: Any, message: Any) -> None:
            method = tickets.get(message.headers.get("ticket"))
            if method and isinstance(body, dict):
                answers[method].update(body)

        consumer = Consumer(channel, [queue], accept=["json"], no_ack=True, callbacks=[take])
        try:
            with consumer:
                for ticket, method in tickets.items():
                    self._publish(channel, method, ticket)
                deadline = time.monotonic() + self._settings.inspect_timeout
                while (left := deadline - time.monotonic()) > 0:
                    try:
                        connection.drain_events(timeout=left)
                    except (TimeoutError, socket.timeout):  # noqa: UP041  (not the same class in every transport)
                        break
                    if expected and all(expected <= set(found) for found in answers.values()):
                        break
        finally:
            queue.delete()
        return [_answer(node, answers) for node in {*answers["stats"], *answers["active_queues"]}]

    def _publish(self, channel: Any, method: str, ticket: str) -> None:
        Producer(channel, auto_declare=False).publish(
            {
                "method": method,
                "arguments": {},
                "destination": None,
                "pattern": None,
                "matcher": None,
                "ticket": ticket,
                "reply_to": {"exchange": self._reply_exchange.name, "routing_key": self._id},
            },
            exchange=self._exchange.name,
            declare=[self._exchange],
            headers={"clock": 0, "expires": time.time() + self._settings.inspect_timeout},
            serializer="json",
        )


def _answer(node: str, answers: Mapping[str, Mapping[str, Any]]) -> WorkerAnswer:
    pool, size = _pool(answers["stats"].get(node))
    return WorkerAnswer(node, pool, size, _queues(answers["active_queues"].get(node)))


def _pool(stats: Any) -> tuple[str | None, int | None]:
    """The kind of pool and how many tasks it runs at once: ``max-concurrency``, which every kind of pool reports."""
    pool = stats.get("pool") if isinstance(stats, dict) else None
    if not isinstance(pool, dict):
        return None, None
    kind = pool.get("implementation")
    module = kind.partition(":")[0].rpartition(".")[2] if isinstance(kind, str) else None
    size = pool.get("max-concurrency")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        processes = pool.get("processes")
        size = len(processes) if isinstance(processes, list) else None
    return module, size


def _queues(listed: Any) -> tuple[str, ...] | None:
    if not isinstance(listed, list):
        return None
    names = [entry.get("name") for entry in listed[:_QUEUES_PER_WORKER] if isinstance(entry, dict)]
    return tuple(sorted(name for name in names if isinstance(name, str) and name))
