"""How to reach the Redis that is the broker: plain, TLS, unix socket, or the master that Sentinel names."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from exporter.config import SettingError, Settings
from exporter.interfaces import BrokerUnavailableError
from exporter.redact import Redactor

ERRORS: tuple[type[Exception], ...] = (redis.RedisError, OSError, ssl.SSLError)
"""What reaching or asking Redis may raise."""

_CONNECT_TIMEOUT = 3.0
_ANSWER_TIMEOUT = 5.0
_CERT_REQS = {"CERT_NONE": "none", "CERT_OPTIONAL": "optional", "CERT_REQUIRED": "required"}
_SSL_ALIASES = {
    "ca_certs": "ssl_ca_certs",
    "certfile": "ssl_certfile",
    "keyfile": "ssl_keyfile",
    "cert_reqs": "ssl_cert_reqs",
    "check_hostname": "ssl_check_hostname",
}
_SSL_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path"})
_SSL_KNOWN = frozenset(_SSL_ALIASES.values()) | _SSL_FILES | {"ssl_password", "ssl_ca_data", "ssl_ciphers"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where kombu keeps things in Redis, as the transport options have it."""

    db: int
    prefix: str
    separator: str
    steps: tuple[int, ...]
    unacked: str
    unacked_index: str
    visibility_timeout: float
    topics: tuple[str, ...]
    """The prefixes of event channels, without the event exchange's name."""
    patterns: bool
    """Whether a channel's name ends with the routing key."""

    @classmethod
    def of(cls, options: Mapping[str, Any], db: int, *, sentinel: bool = False) -> Layout:
        """Read the transport options; those that say nothing have kombu's defaults."""
        fanout = options.get("fanout_prefix", True)
        template = fanout if isinstance(fanout, str) else "/{db}." if fanout else ""
        topics = [template.replace("{db}", str(db))]
        if sentinel and template not in topics:
            # Up to kombu 5.3 the Sentinel transport left the placeholder in.
            topics.append(template)
        steps = options.get("priority_steps", (0, 3, 6, 9))
        if isinstance(steps, str):
            steps = [part for part in steps.replace(" ", "").split(",") if part]
        return cls(
            db=db,
            prefix=str(options.get("global_keyprefix") or ""),
            separator=str(options.get("sep") or "\x06\x16"),
            steps=tuple(sorted(int(step) for step in steps)) or (0,),
            unacked=str(options.get("unacked_key") or "unacked"),
            unacked_index=str(options.get("unacked_index_key") or "unacked_index"),
            visibility_timeout=float(options.get("visibility_timeout") or 3600),
            topics=tuple(topics),
            patterns=bool(options.get("fanout_patterns", True)),
        )

    def key(self, queue: str, step: int) -> str:
        """The key of the list that holds this queue's messages of this priority step."""
        return f"{self.prefix}{queue}{self.separator}{step}" if step else f"{self.prefix}{queue}"


class RedisLink:
    """Opens connections to the broker; each attempt goes through the URL's hosts, or asks Sentinel afresh.

    Raises :exc:`~exporter.interfaces.BrokerUnavailableError` with one clean line, whatever the reason.
    """

    def __init__(self, settings: Settings) -> None:
        urls = [urlsplit(one) for one in settings.broker_url.split(";") if one]
        first = urls[0]
        self._scheme = first.scheme
        options = settings.transport_options
        query = {key: value for url in urls for key, value in parse_qsl(url.query)}
        self._username = unquote(first.username) if first.username else None
        self._password = unquote(first.password) if first.password else None
        self.redact = Redactor.of_urls(settings.broker_url, settings.broker_password)
        path = unquote(first.path)
        self._unix = ""
        if self._scheme in {"redis+socket", "socket", "unix"}:
            self._unix = path
            db = query.get("virtual_host") or query.get("db") or "0"
        else:
            db = path
        number = db.strip("/")
        self._db = int(number) if number.isdigit() else 0
        try:
            self.layout = Layout.of(options, self._db, sentinel=self._scheme == "sentinel")
            self._connect_timeout = float(options.get("socket_connect_timeout") or _CONNECT_TIMEOUT)
        except (TypeError, ValueError) as error:
            raise SettingError(f"--broker-transport-option: {error}; give numbers where numbers belong") from None
        self._hosts = [(url.hostname or "127.0.0.1", url.port or self._default_port()) for url in urls]
        self._credentials = [(unquote(u.username or "") or None, unquote(u.password or "") or None) for u in urls]
        self._master = str(options.get("master_name") or "")
        self._sentinel_options = dict(options.get("sentinel_kwargs") or {})
        self._tls = _tls_options({key: value for key, value in query.items() if key.startswith("ssl_")})
        self._tls |= _tls_options(settings.ssl_options)
        self._use_tls = self._scheme == "rediss" or bool(settings.ssl_options)

    def _default_port(self) -> int:
        return 26379 if self._scheme == "sentinel" else 6379

    @property
    def by_sentinel(self) -> bool:
        """Whether a Sentinel names the broker."""
        return self._scheme == "sentinel"

    def _common(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "db": self._db,
            "protocol": 2,
            "socket_timeout": _ANSWER_TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        }
        if not self._unix:
            options["socket_connect_timeout"] = self._connect_timeout
        return options

    def addresses(self) -> Sequence[tuple[str, int]]:
        """Host and port to try, in order; with Sentinel, those of the present master."""
        if not self.by_sentinel:
            return self._hosts
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            self._hosts,
            sentinel_kwargs={
                "socket_timeout": self._connect_timeout,
                "socket_connect_timeout": self._connect_timeout,
                "retry": Retry(NoBackoff(), 0),
                "protocol": 2,
                **self._sentinel_options,
            },
        )
        try:
            return [sentinel.discover_master(self._master)]  # type: ignore[no-untyped-call]
        except ERRORS as error:
            raise BrokerUnavailableError(self.redact(f"Sentinel knows no master {self._master}: {error}")) from None
        finally:
            for node in sentinel.sentinels:
                node.close()

    def clients(self) -> list[redis.Redis]:
        """One unconnected client for each address."""
        if self._unix:
            return [
                redis.Redis(
                    unix_socket_path=self._unix, username=self._username, password=self._password, **self._common()
                )
            ]
        found = []
        for position, (host, port) in enumerate(self.addresses()):
            user, password = self._credentials[0 if self.by_sentinel else position]
            tls = {"ssl": True, **self._tls} if self._use_tls else {}
            found.append(redis.Redis(host=host, port=port, username=user, password=password, **self._common(), **tls))
        return found

    def client(self) -> redis.Redis:
        """Return a client of the first address that answers."""
        reason = "no address"
        for client in self.clients():
            try:
                client.ping()
            except ERRORS as error:
                reason = self.describe(error)
                client.close()
            else:
                return client
        raise BrokerUnavailableError(reason)

    def describe(self, error: BaseException) -> str:
        """Say in one clean line what went wrong, and where."""
        where = self._unix or ", ".join(f"{host}:{port}" for host, port in self._hosts)
        return self.redact(f"Redis at {where}: {error or type(error).__name__}")


def _tls_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options under redis-py's own names."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        name = _SSL_ALIASES.get(key, key)
        if name not in _SSL_KNOWN:
            known = ", ".join(sorted(_SSL_KNOWN))
            raise SettingError(f"--broker-ssl-option: {key} is not known for Redis; there are {known}")
        if name in _SSL_FILES and not Path(str(value)).exists():
            raise SettingError(f"--broker-ssl-option: {key}: there is no file {value}; name one that exists")
        found[name] = value
    reqs = found.get("ssl_cert_reqs")
    if reqs is not None:
        found["ssl_cert_reqs"] = {0: "none", 1: "optional", 2: "required"}.get(reqs, _CERT_REQS.get(str(reqs), reqs))
    if found.get("ssl_cert_reqs") == "none":
        found.setdefault("ssl_check_hostname", False)
    return found
