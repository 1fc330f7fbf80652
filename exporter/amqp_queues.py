"""The queues of a broker behind kombu: by passive declaration, and by RabbitMQ's management API where that is named."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import kombu

from exporter.config import Settings
from exporter.interfaces import BrokerFacts, BrokerReading, BrokerUnavailableError, QueueState
from exporter.kombu_link import KombuLink, errors, hang_up, is_amqp
from exporter.management_api import ManagementApi, ManagementError

# Replies to a passive declaration that concern the queue alone.
_QUEUE_REFUSED = frozenset({403, 404, 405})

log = logging.getLogger(__name__)


class KombuQueueReader:
    """Reads ready messages and consumers of any kombu broker (a :class:`~exporter.interfaces.QueueReader`).

    A passive declaration tells both and needs no right but to read; with the management API every queue of the virtual
    host is found without being named, and its unacknowledged messages are told too. When the API does not answer, what
    can be declared is read all the same.
    """

    def __init__(self, settings: Settings) -> None:
        self._link = KombuLink(settings)
        self._connection: kombu.Connection | None = None
        self._channel: Any = None
        self._api: ManagementApi | None = None
        self._api_silent = False
        self._settings = settings

    def read(self, names: Iterable[str]) -> BrokerReading:
        """See :meth:`exporter.interfaces.QueueReader.read`."""
        connection = self._connection
        try:
            if connection is None:
                connection = self._connection = self._connect()
            else:
                # Asked only over HTTP, a connection would never notice that the broker is gone.
                connection.channel().close()
            facts = _facts(connection)
            queues = self._from_api(connection, facts)
            if queues is None:
                queues = self._declared(connection, names)
            else:
                # The API knows a queue some seconds before it knows what is in it.
                queues |= self._declared(connection, [name for name, state in queues.items() if state.ready is None])
        except _errors(connection) as error:
            self._disconnect(politely=False)
            raise BrokerUnavailableError(self._link.describe(error)) from None
        return BrokerReading(queues, facts)

    def close(self) -> None:
        """Give back connections; never raises."""
        self._disconnect(politely=True)
        if self._api is not None:
            self._api.close()
            self._api = None

    def _connect(self) -> kombu.Connection:
        failure: BaseException = OSError("no address")
        for connection in self._link.connections(heartbeats=False):
            try:
                connection.connect()
            except errors(connection) as error:
                failure = error
                hang_up(connection, politely=False)
            else:
                return connection
        raise BrokerUnavailableError(self._link.describe(failure)) from None

    def _disconnect(self, *, politely: bool) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            hang_up(connection, politely=politely)

    def _from_api(self, connection: kombu.Connection, facts: BrokerFacts) -> dict[str, QueueState] | None:
        """What the management API tells, or None where there is none or it does not answer."""
        url = self._settings.management_url
        if not url or not is_amqp(connection):
            return None
        if self._api is None:
            verify = self._settings.ssl_options.get("ca_certs") or self._settings.ssl_options.get("ssl_ca_certs")
            self._api = ManagementApi(
                url,
                connection.virtual_host or "/",
                user=connection.userid or "",
                password=connection.password or "",
                verify=verify or True,
            )
        try:
            queues, facts.pidbox_keys = self._api.queues()
            told = self._api.facts()
        except ManagementError as error:
            if not self._api_silent:
                log.warning("management API: %s; ready messages and consumers are read over AMQP instead", error)
            self._api_silent = True
            return None
        if self._api_silent:
            log.info("management API: answers again")
        self._api_silent = False
        facts.version = told.version or facts.version
        facts.connected_clients = told.connected_clients
        facts.memory_used_bytes = told.memory_used_bytes
        facts.memory_max_bytes = told.memory_max_bytes
        return queues

    def _declared(self, connection: kombu.Connection, names: Iterable[str]) -> dict[str, QueueState]:
        """What a passive declaration of each queue tells; those not there, or not ours to see, are left out."""
        found = {}
        knows_consumers = is_amqp(connection)
        for name in names:
            if self._channel is None:
                self._channel = connection.channel()
            try:
                _, ready, consumers = self._channel.queue_declare(queue=name, passive=True)
            except connection.channel_errors as error:
                # Not there (404), another connection's own (405), no right to see it (403): the broker closes the
                # channel then, and py-amqp opens it again.
                if _code(error) not in _QUEUE_REFUSED:
                    raise
                continue
            found[name] = QueueState(ready=ready, consumers=consumers if knows_consumers else None)
        return found


def _code(error: BaseException) -> int:
    """AMQP's number for a refusal; transports that only play AMQP give it as text."""
    code = str(getattr(error, "reply_code", None) or getattr(error, "code", ""))
    return int(code) if code.isdigit() else 0


def _facts(connection: kombu.Connection) -> BrokerFacts:
    properties = getattr(connection.connection, "server_properties", None) or {}
    version = properties.get("version", "")
    if isinstance(version, bytes):
        version = version.decode(errors="replace")
    return BrokerFacts(transport=connection.transport.driver_type or "", version=str(version))


def _errors(connection: kombu.Connection | None) -> tuple[type[BaseException], ...]:
    return errors(connection) if connection is not None else ()
