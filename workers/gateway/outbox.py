"""Orders on disk: accepted, and not yet, or already, published.

An order is accepted by being written here, in a transaction that reaches the disk, and not by reaching the broker.
Between the two it is in the outbox. A crash after publishing and before noting it publishes the order again, under
the same id, to a pipeline whose steps do their work once.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import NamedTuple

from workers.settings import SettingsError

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY,
    accepted_at REAL NOT NULL,
    published_at REAL,
    body TEXT NOT NULL,
    trace TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS waiting ON orders (accepted_at) WHERE published_at IS NULL;
CREATE INDEX IF NOT EXISTS done ON orders (published_at) WHERE published_at IS NOT NULL;
"""
#: A published order is remembered this long, so that its id can be asked for.
KEEP_SECONDS = 86400.0


class Waiting(NamedTuple):
    """An order that has to be published, and the trace context that it was accepted in."""

    id: str
    order: dict[str, object]
    trace: dict[str, str]


class Outbox:
    """A SQLite file of orders; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises SettingsError where that cannot be done."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # An order counts as accepted once it is on the disk, not once it is in some cache.
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise SettingsError("GATEWAY_DB", str(path), f"{error}; name a file that can be written") from None
        self._lock = threading.Lock()
        self._rows, self._oldest = 0, 0.0
        self._recount()

    def accept(self, id_: str, order: dict[str, object], trace: dict[str, str]) -> None:
        """Write an order down. Raises sqlite3.Error where it could not be, and then it is not accepted."""
        now = time.time()
        with self._lock:
            self._db.execute(
                "INSERT INTO orders VALUES (?, ?, NULL, ?, ?)", (id_, now, json.dumps(order), json.dumps(trace))
            )
            if not self._rows:
                self._oldest = now
            self._rows += 1

    def waiting(self, limit: int) -> list[Waiting]:
        """The oldest orders that have not been published."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, body, trace FROM orders WHERE published_at IS NULL ORDER BY accepted_at LIMIT ?", (limit,)
            ).fetchall()
        return [Waiting(id_, json.loads(body), json.loads(trace)) for id_, body, trace in rows]

    def published(self, ids: list[str]) -> None:
        """Note that these went out, and forget those that went out long ago. What was ordered is not kept."""
        now = time.time()
        with self._lock:
            self._db.execute("BEGIN")
            try:
                self._db.executemany(
                    "UPDATE orders SET published_at = ?, body = '', trace = '' WHERE id = ?",
                    [(now, id_) for id_ in ids],
                )
                self._db.execute("DELETE FROM orders WHERE published_at < ?", (now - KEEP_SECONDS,))
            except sqlite3.Error:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            self._recount()

    def is_published(self, id_: str) -> bool | None:
        """Whether the order with this id went out, or None where there is no such order."""
        with self._lock:
            row = self._db.execute("SELECT published_at FROM orders WHERE id = ?", (id_,)).fetchone()
        return None if row is None else row[0] is not None

    def depth(self) -> int:
        """Orders that are accepted and not published."""
        return self._rows

    def oldest_age(self) -> float:
        """Seconds since the oldest of them was accepted; 0 where there is none."""
        return max(0.0, time.time() - self._oldest) if self._rows else 0.0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _recount(self) -> None:
        rows, oldest = self._db.execute(
            "SELECT count(*), min(accepted_at) FROM orders WHERE published_at IS NULL"
        ).fetchone()
        self._rows, self._oldest = rows, oldest or 0.0
