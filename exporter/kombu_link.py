"""Connections through kombu, for every broker that is not Redis."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import kombu
from kombu.exceptions import KombuError

from exporter.config import Settings
from exporter.redact import Redactor

CONNECT_SECONDS = 5.0
HEARTBEAT_SECONDS = 5.0
ANSWER_SECONDS = 10.0

_GOODBYE_SECONDS = 1.0

AMQP_DRIVER = "amqp"
_PY_AMQP = frozenset({"amqp", "amqps", "pyamqp"})
_CERT_REQS = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
# Celery's Redis users write ssl_ca_certs, its AMQP users ca_certs; either is understood.
_SSL_PREFIX = "ssl_"
_SSL_OWN = frozenset({"ssl_version"})


class KombuLink:
    """Makes connections to one broker and puts its errors into words that are fit for a log."""

    def __init__(self, settings: Settings) -> None:
        self._urls = [url for url in settings.broker_url.split(";") if url]
        self._transport_options = dict(settings.transport_options)
        self._ssl = ssl_options(settings.ssl_options)
        passwords = (urlsplit(url).password for url in [*self._urls, settings.management_url or ""])
        secrets = {word for given in passwords if given for word in (given, unquote(given))}
        self._redact = Redactor(settings.broker_password, *secrets)

    def connections(self, *, heartbeats: bool) -> Iterable[kombu.Connection]:
        """A new connection, not yet made, for each of the broker's addresses in turn.

        With ``heartbeats`` the caller promises to call ``heartbeat_check`` every second or two. Without, for a
        connection that is used now and then, an answer of an AMQP broker is waited for ten seconds at most.
        """
        for url in self._urls:
            options = dict(self._transport_options)
            if not heartbeats and url.partition("://")[0] in _PY_AMQP:
                options = {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS, **options}
            yield kombu.Connection(
                url,
                ssl=self._ssl or url.startswith("amqps:"),
                transport_options=options,
                connect_timeout=CONNECT_SECONDS,
                heartbeat=HEARTBEAT_SECONDS if heartbeats else 0,
            )

    def describe(self, error: BaseException) -> str:
        """One line that says what went wrong, without a password."""
        text = str(error) or "no reason given"
        return self._redact(f"{type(error).__name__}: {text}")


def hang_up(connection: kombu.Connection, *, politely: bool) -> None:
    """Give a connection up; never raises, and waits a second at most for a broker that does not answer.

    ``politely`` says goodbye first, as is due to a broker that did nothing wrong.
    """
    with suppress(Exception):
        if politely:
            sock = getattr(getattr(connection.connection, "transport", None), "sock", None)
            if sock is not None:
                sock.settimeout(_GOODBYE_SECONDS)
            connection.release()
    with suppress(Exception):
        connection.collect()


def errors(connection: kombu.Connection) -> tuple[type[BaseException], ...]:
    """Everything that a broken connection, a refusal or a missing driver may raise."""
    found: tuple[type[BaseException], ...] = (OSError, KombuError, ImportError)
    return (*found, *connection.connection_errors, *connection.channel_errors)


def is_amqp(connection: kombu.Connection) -> bool:
    """Whether the broker speaks AMQP: it then knows its consumers, and a failed question closes the channel."""
    return bool(connection.transport.driver_type == AMQP_DRIVER)


def ssl_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """TLS options by the names and with the values that py-amqp takes."""
    found = {}
    for name, value in given.items():
        key = name.removeprefix(_SSL_PREFIX) if name not in _SSL_OWN else name
        if key == "cert_reqs" and isinstance(value, str):
            value = _CERT_REQS.get(value.lower().removeprefix("cert_"), value)  # noqa: PLW2901
        found[key] = value
    return found
