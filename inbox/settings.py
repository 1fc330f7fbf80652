"""The inbox's settings, read from the environment and checked once, at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inbox.runbooks import FOLDER


class SettingError(ValueError):
    """A setting that cannot be used. The message names the setting, its value and the fix."""


@dataclass(frozen=True)
class Settings:
    """Where the inbox listens, where it keeps its rows, and how much it takes.

    max_rows bounds the kept notifications and, separately, the kept latest states of alerts.
    max_body_bytes bounds one notification, max_pending those being read or written at the same time.
    watchdog_timeout is the silence in seconds after which the page calls the dead man's switch overdue.
    runbooks is the folder of the runbooks that alerts link to, one Markdown file for each alert.
    """

    host: str = "127.0.0.1"
    port: int = 9199
    database: Path = Path("inbox.sqlite3")
    max_rows: int = 10_000
    max_body_bytes: int = 1_048_576
    max_pending: int = 32
    watchdog_timeout: int = 900
    runbooks: Path = FOLDER
    log_format: str = "human"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the INBOX_* variables (and LOG_FORMAT). Raises SettingError on the first bad one."""
    default = Settings()
    log_format = environment.get("LOG_FORMAT") or default.log_format
    if log_format not in ("human", "json"):
        raise SettingError(f"LOG_FORMAT={log_format!r} is not a log format: set it to human or json")
    return Settings(
        host=environment.get("INBOX_HOST") or default.host,
        port=_whole(environment, "INBOX_PORT", default.port, 0, 65_535),
        database=Path(environment.get("INBOX_DB") or default.database),
        max_rows=_whole(environment, "INBOX_MAX_ROWS", default.max_rows, 10, 1_000_000),
        max_body_bytes=_whole(environment, "INBOX_MAX_BODY_BYTES", default.max_body_bytes, 1_024, 64 * 1_048_576),
        max_pending=_whole(environment, "INBOX_MAX_PENDING", default.max_pending, 1, 1_000),
        runbooks=Path(environment.get("INBOX_RUNBOOKS") or default.runbooks),
        watchdog_timeout=_whole(environment, "INBOX_WATCHDOG_TIMEOUT", default.watchdog_timeout, 1, 7 * 86_400),
        log_format=log_format,
    )


def _whole(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name) or str(default)
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise SettingError(f"{name}={text!r} is out of range: set it to a whole number from {low} to {high}")
    return value
