"""Settings of the sample application, all read from the environment."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

SCHEMES = ("redis", "rediss", "amqp", "amqps", "sentinel", "memory")


class SettingsError(ValueError):
    """A setting that cannot be used: which one, what it holds and what to write instead."""

    def __init__(self, setting: str, value: str, fix: str) -> None:
        super().__init__(f"{setting}={value!r}: {fix}")


def refuse(error: SettingsError) -> NoReturn:
    """End the process with one line on standard error and exit status 2."""
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2)


def number(environ: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    """The setting ``name`` as a number within ``low`` and ``high``; an empty setting counts as unset."""
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise SettingsError(name, text, f"write a number from {low:g} to {high:g}")
    return value


def choice(environ: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    """The setting ``name``, one of ``allowed``; an empty setting counts as unset."""
    text = environ.get(name, "").strip().lower() or default
    if text not in allowed:
        raise SettingsError(name, text, f"write one of: {', '.join(allowed)}")
    return text


def redact(url: str) -> str:
    """``url`` without its password, fit for a log line."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}"))


def secret(environ: Mapping[str, str], name: str) -> str | None:
    """The first line of the file that the setting ``name`` points at, or None where it is not set."""
    path = environ.get(name, "").strip()
    if not path:
        return None
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise SettingsError(name, path, f"{reason}; name a readable file that holds the password") from None
    if not text:
        raise SettingsError(name, path, "the file is empty; write the password into it")
    return text.splitlines()[0]


def broker_url(environ: Mapping[str, str], name: str, default: str, password: str | None) -> str:
    """The address in ``name`` with ``password`` put in, unless the address carries one already."""
    url = environ.get(name, "").strip() or default
    try:
        parts = urlsplit(url)
        valid = parts.scheme in SCHEMES and (parts.scheme == "memory" or bool(parts.hostname))
        _ = parts.port
    except ValueError:
        valid = False
    if not valid:
        shown = url.rpartition("@")[2] if "@" in url else url
        raise SettingsError(name, shown, "write an address such as redis://redis:6379/0")
    if password is None or parts.password is not None or parts.scheme == "memory":
        return url
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{quote(password, safe='')}@{parts.netloc}"))


@dataclass(frozen=True)
class Settings:
    """What the sample application is started with. Durations are in seconds, rates between 0 and 1."""

    broker_url: str
    result_backend_url: str
    result_expires: float
    visibility_timeout: float
    redelivery_limit: int
    decline_rate: float
    busy_rate: float
    follow_up_delay: float
    canary_interval: float

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting; raise SettingsError for the first that cannot be used."""
        password = secret(environ, "BROKER_PASSWORD_FILE")
        result_password = secret(environ, "RESULT_BACKEND_PASSWORD_FILE") or password
        return cls(
            broker_url=broker_url(environ, "BROKER_URL", "redis://127.0.0.1:6379/0", password),
            result_backend_url=broker_url(environ, "RESULT_BACKEND_URL", "redis://127.0.0.1:6379/1", result_password),
            result_expires=number(environ, "RESULT_EXPIRES_SECONDS", 3600, 1, 30 * 86400),
            visibility_timeout=number(environ, "VISIBILITY_TIMEOUT_SECONDS", 300, 5, 86400),
            redelivery_limit=int(number(environ, "REDELIVERY_LIMIT", 3, 0, 1000)),
            decline_rate=number(environ, "PAYMENT_DECLINE_RATE", 0.005, 0, 1),
            busy_rate=number(environ, "PAYMENT_BUSY_RATE", 0.02, 0, 1),
            follow_up_delay=number(environ, "FOLLOW_UP_SECONDS", 30, 0, 3600),
            canary_interval=number(environ, "CANARY_INTERVAL_SECONDS", 15, 0, 3600),
        )
