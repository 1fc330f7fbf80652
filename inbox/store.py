"""What the inbox keeps, in one SQLite file: every notification, and the latest state of every alert."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inbox.payload import Alert

# AUTOINCREMENT: an id is never given twice, so that a reader's `after` stays right when rows are dropped.
# `alerts` is a table of its own, not a query over `notifications`: a long-firing alert stays known after
# its notification was dropped for its age.
_COLUMNS = """
  received_at REAL NOT NULL, receiver TEXT NOT NULL, status TEXT NOT NULL, alertname TEXT NOT NULL,
  labels TEXT NOT NULL, annotations TEXT NOT NULL, starts_at REAL NOT NULL, ends_at REAL,
  group_key TEXT NOT NULL, generator_url TEXT NOT NULL
"""
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS notifications (
  id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT NOT NULL, {_COLUMNS});
CREATE TABLE IF NOT EXISTS alerts (fingerprint TEXT PRIMARY KEY, id INTEGER NOT NULL, {_COLUMNS});
CREATE INDEX IF NOT EXISTS notifications_alertname ON notifications (alertname, id);
"""
_NAMES = (
    "received_at", "receiver", "status", "alertname", "labels", "annotations",
    "starts_at", "ends_at", "group_key", "generator_url", "fingerprint",
)  # fmt: skip
_INSERT = f"INSERT INTO notifications ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608
_REPLACE = f"INSERT OR REPLACE INTO alerts ({', '.join(_NAMES)}, id) VALUES ({', '.join('?' * (len(_NAMES) + 1))})"  # noqa: S608
TABLES = ("notifications", "alerts")

Row = dict[str, Any]


class StoreError(RuntimeError):
    """The database cannot be opened, read or written. The message says which file and why."""


class Store:
    """One SQLite file, used from any thread. An added notification is on the disk when `add` returns."""

    def __init__(self, path: Path, max_rows: int) -> None:
        """Open or create the file. Raises StoreError when it cannot be, or holds something else."""
        self._path = path
        self._max_rows = max_rows
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=5, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"cannot use the database {path}: {error}") from None

    def close(self) -> None:
        """Close the file. The store is of no use afterwards."""
        with self._lock:
            self._connection.close()

    def add(self, alerts: Sequence[Alert], received_at: float) -> dict[str, int]:
        """Keep the alerts of one notification, all or none; drop what exceeds the row limit.

        Returns the number of rows dropped by table. Raises StoreError.
        """
        with self._transaction() as connection:
            for alert in alerts:
                values = (
                    received_at, alert.receiver, alert.status, alert.alertname,
                    json.dumps(alert.labels), json.dumps(alert.annotations),
                    alert.starts_at, alert.ends_at, alert.group_key, alert.generator_url, alert.fingerprint,
                )  # fmt: skip
                row_id = connection.execute(_INSERT, values).lastrowid
                connection.execute(_REPLACE, (*values, row_id))
            return {
                "notifications": self._drop(connection, "notifications", "id"),
                # What has cleared goes first: a firing alert is the last thing to forget.
                "alerts": self._drop(connection, "alerts", "status = 'firing', id"),
            }

    def notifications(
        self, after: int = 0, alertname: str | None = None, status: str | None = None, limit: int = 1_000
    ) -> tuple[list[Row], int]:
        """Rows with an id above `after`, oldest first, and the id to go on from. Raises StoreError."""
        wanted = [("id > ?", after), ("alertname = ?", alertname), ("status = ?", status)]
        used = [(clause, value) for clause, value in wanted if value is not None]
        where = " AND ".join(clause for clause, _ in used)
        query = f"SELECT * FROM notifications WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608
        with self._transaction() as connection:
            rows = [_row(row) for row in connection.execute(query, [*(value for _, value in used), limit])]
            (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM notifications").fetchone()
        return rows, int(rows[-1]["id"]) if len(rows) == limit else int(newest)

    def alerts(self) -> list[Row]:
        """The latest state of every alert, the one told last first. Raises StoreError."""
        with self._transaction() as connection:
            return [_row(row) for row in connection.execute("SELECT * FROM alerts ORDER BY id DESC")]

    def counts(self) -> dict[str, int]:
        """Rows by table. Raises StoreError."""
        with self._transaction() as connection:
            return {
                table: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
                for table in TABLES
            }

    def last_received_at(self) -> float:
        """When the last notification came, in epoch seconds; 0 before the first. Raises StoreError."""
        with self._transaction() as connection:
            (newest,) = connection.execute("SELECT coalesce(max(received_at), 0) FROM notifications").fetchone()
        return float(newest)

    def _drop(self, connection: sqlite3.Connection, table: str, order: str) -> int:
        (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        excess = int(rows) - self._max_rows
        if excess <= 0:
            return 0
        connection.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY {order} LIMIT ?)",  # noqa: S608
            (excess,),
        )
        return excess

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                with self._connection:
                    yield self._connection
            except sqlite3.Error as error:
                raise StoreError(f"cannot use the database {self._path}: {error}") from None


def _row(row: sqlite3.Row) -> Row:
    return {**dict(row), "labels": json.loads(row["labels"]), "annotations": json.loads(row["annotations"])}
