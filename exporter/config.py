"""The settings of one exporter, checked once; after that the rest of the package may trust them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds for the run time, in seconds; those of Prometheus' own client, as upstream has them."""
DEFAULT_WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Upper bounds for the wait in the queue, in seconds."""

REDIS_SCHEMES = frozenset({"redis", "rediss", "redis+socket", "socket", "unix", "sentinel"})
OTHER_SCHEMES = frozenset(
    {"amqp", "amqps", "pyamqp", "librabbitmq", "memory", "filesystem", "sqs", "mongodb", "zookeeper", "confluentkafka"}
    | {"gcpubsub", "sqlalchemy", "sqla", "etcd", "consul", "qpid", "azurestoragequeues", "azureservicebus", "pyro"}
    | {"SQS", "pgmq"}
)
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_METRIC_PREFIX = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z|\Z")
_OWN_LABELS = frozenset(
    {"name", "queue_name", "hostname", "worker", "exception", "le", "priority", "outcome", "kind", "requeue", "reason"}
    | {"type", "metric", "policy", "transport", "version", "pool", "software"}
)


class SettingError(ValueError):
    """A setting cannot be used. The message is one line: the setting, what is wrong, and what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the exporter can be told. Durations are seconds."""

    broker_url: str
    broker_password: str | None = None
    transport_options: Mapping[str, Any] = field(default_factory=dict)
    ssl_options: Mapping[str, Any] = field(default_factory=dict)
    accept_content: tuple[str, ...] = ("json",)
    retry_interval: float = 0.0
    """The longest pause between attempts to reach the broker; 0 leaves it to the exporter (up to 0.5 s)."""
    host: str = "0.0.0.0"  # noqa: S104  (upstream's default: a scraper is on another host)
    port: int = 9808
    buckets: tuple[float, ...] = DEFAULT_BUCKETS
    wait_buckets: tuple[float, ...] = DEFAULT_WAIT_BUCKETS
    log_level: str = "INFO"
    worker_timeout: float | None = None
    """Silence after which a worker is lost; ``None``: so many of its own heartbeats, 0: never."""
    missed_heartbeats: int = 5
    purge_offline_worker_metrics: float = 600.0
    generic_hostname_task_sent_metric: bool = False
    generic_hostname_worker_task_metric: bool = False
    queues: tuple[str, ...] = ()
    default_queue_name: str = "celery"
    metric_prefix: str = "celery_"
    static_labels: Mapping[str, str] = field(default_factory=dict)
    task_hostname: bool = False
    max_series: int = 5000
    max_tasks: int = 200_000
    task_ttl: float = 86_400.0
    late_sent_grace: float = 2.0
    queue_interval: float = 5.0
    inspect_interval: float = 60.0
    inspect_timeout: float = 1.0
    event_buffer_megabytes: int = 24
    event_exchange: str = "celeryev"
    control_exchange: str = "celery"
    management_url: str | None = None

    @property
    def scheme(self) -> str:
        """The transport's name, as written in the URL."""
        return self.broker_url.partition("://")[0]

    @property
    def is_redis(self) -> bool:
        """Whether the exporter's own Redis path serves this broker."""
        return self.scheme in REDIS_SCHEMES


def read_password(path: str) -> str:
    """Return the password in a file, without the line end.

    :raises SettingError: the file cannot be read or is empty.
    """
    try:
        password = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingError(
            f"--broker-password-file: cannot read {path}: {reason}; name a readable file that holds the password"
        ) from None
    if not password:
        raise SettingError(f"--broker-password-file: {path} is empty; put the broker's password into it")
    return password


def with_password(url: str, password: str) -> str:
    """Return ``url`` (or several, with ``;`` between them) with ``password`` where it has none."""
    done = []
    for one in url.split(";"):
        parts = urlsplit(one)
        userinfo, at, hostport = parts.netloc.rpartition("@")
        user, colon, known = userinfo.partition(":")
        if not (colon and known):
            netloc = f"{user}:{quote(password, safe='')}@{hostport if at else parts.netloc}"
            done.append(urlunsplit(parts._replace(netloc=netloc)))
        else:
            done.append(one)
    return ";".join(done)


def key_values(setting: str, texts: Iterable[str]) -> dict[str, str]:
    """Split ``key=value`` texts.

    :raises SettingError: one has no ``=`` or no key.
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise SettingError(f"{setting}: not of the form key=value: {key.strip() or 'nothing before the ='}")
        found[key.strip()] = value
    return found


def option_value(text: str) -> Any:
    """Return the value that a transport or TLS option means: JSON where it is JSON, else the text itself."""
    lowered = text.strip().lower()
    if lowered in {"true", "false"}:
        return lowered == "true"
    try:
        return json.loads(text)
    except ValueError:
        return text


def buckets(setting: str, text: str) -> tuple[float, ...]:
    """Return the upper bounds in ``text``, without the last (infinite) one.

    :raises SettingError: no numbers, or not rising.
    """
    try:
        bounds = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise SettingError(f"{setting}: {text!r} is no list of numbers; give upper bounds like 0.1,0.5,1") from None
    bounds = tuple(bound for bound in bounds if bound != math.inf)
    if not bounds or any(math.isnan(b) for b in bounds) or any(a >= b for a, b in pairwise(bounds)):
        raise SettingError(f"{setting}: {text!r} must hold at least one number, each larger than the one before")
    return bounds


def checked(settings: Settings) -> Settings:
    """Return ``settings`` if they can be used.

    :raises SettingError: with the first thing that is wrong.
    """
    if settings.broker_password is not None:
        settings = replace(settings, broker_url=with_password(settings.broker_url, settings.broker_password))
    _check_url(settings)
    for name, value in settings.static_labels.items():
        if not _LABEL_NAME.match(name) or name.startswith("__") or name in _OWN_LABELS:
            raise SettingError(
                f"--static-label: {name!r} cannot be a label here; use letters, digits and _, and none of the names"
                " that the metrics use themselves"
            )
        if not value:
            raise SettingError(f"--static-label: {name!r} has no value; write {name}=something")
    if not _METRIC_PREFIX.match(settings.metric_prefix):
        raise SettingError(
            f"--metric-prefix: {settings.metric_prefix!r} cannot begin a metric name; use letters, digits and _"
        )
    for setting, number, least in (
        ("--max-series", settings.max_series, 1),
        ("--max-tasks", settings.max_tasks, 100),
        ("--task-ttl", settings.task_ttl, 0.5),
        ("--late-sent-grace", settings.late_sent_grace, 0),
        ("--queue-interval", settings.queue_interval, 0.05),
        ("--inspect-interval", settings.inspect_interval, 0.5),
        ("--inspect-timeout", settings.inspect_timeout, 0.05),
        ("--missed-heartbeats", settings.missed_heartbeats, 2),
        ("--purge-offline-worker-metrics", settings.purge_offline_worker_metrics, 0),
        ("--worker-timeout", settings.worker_timeout or 0, 0),
        ("--retry-interval", settings.retry_interval, 0),
        ("--event-buffer-megabytes", settings.event_buffer_megabytes, 1),
    ):
        if not (math.isfinite(number) and number >= least):
            raise SettingError(f"{setting}: {number} is too small or no number; give {least} or more")
    if not 0 <= settings.port <= 65535:
        raise SettingError(f"--port: {settings.port} is not a port; give a number from 1 to 65535")
    return settings


def _check_url(settings: Settings) -> None:
    scheme, mark, rest = settings.broker_url.partition("://")
    if not mark or not scheme:
        raise SettingError("--broker-url: not a URL; write it like redis://host:6379/0 or amqp://host:5672/vhost")
    if scheme not in REDIS_SCHEMES | OTHER_SCHEMES and scheme.partition("+")[0] not in OTHER_SCHEMES:
        raise SettingError(f"--broker-url: no transport is named {scheme!r}; try redis, rediss, sentinel or amqp")
    for one in settings.broker_url.split(";"):
        try:
            parts = urlsplit(one)
            _ = parts.port
        except ValueError:
            raise SettingError("--broker-url: the port is not a number from 0 to 65535; mend it") from None
        if settings.is_redis and scheme in {"redis", "rediss", "sentinel"}:
            database = parts.path.strip("/")
            if database and not database.isdigit():
                raise SettingError(f"--broker-url: the database {database!r} is not a number; end the URL like /0")
    if scheme == "sentinel" and not settings.transport_options.get("master_name"):
        raise SettingError("--broker-url: sentinel needs --broker-transport-option master_name=<name of the master>")
    if not rest and scheme != "memory":
        raise SettingError("--broker-url: names no host; write it like redis://host:6379/0")
