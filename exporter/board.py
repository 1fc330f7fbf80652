"""What the background threads last learnt of the broker, for the scrape to read without waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from exporter.interfaces import BrokerReading
from exporter.redis_keyspace import is_task_queue


class Board:
    """The latest reading of the queues, the names that are known, and how the connections are doing."""

    def __init__(self, queues: Iterable[str], *, max_age: float, max_queues: int) -> None:
        self._max_age = max_age
        self._max_queues = max_queues
        self._names = dict.fromkeys(queues)
        self._lock = threading.Lock()
        self.refused = 0
        self._reading: BrokerReading | None = None
        self._read_at = 0.0
        self.broker_up = False
        self.broker_error = "not connected yet"
        self.queues_read_timestamp: float | None = None
        self.inspect_timestamp: float | None = None
        self.stream_up = False
        self.stream_connects = 0
        self.stream_born = time.time()
        self.event_timestamp: float | None = None
        self.evicted_total: int | None = None

    def add_queue(self, name: str) -> None:
        """A queue of that name exists."""
        if name in self._names or not is_task_queue(name):
            return
        with self._lock:
            if len(self._names) < self._max_queues:
                self._names[name] = None
            else:
                self.refused += 1

    @property
    def names(self) -> list[str]:
        """Every queue that is known, sorted."""
        return sorted(self._names.copy())

    def read_succeeded(self, reading: BrokerReading) -> None:
        """Take a fresh reading."""
        for name in reading.queues:
            self.add_queue(name)
        self._reading, self._read_at = reading, time.monotonic()
        self.queues_read_timestamp = time.time()
        self.broker_up, self.broker_error = True, ""

    def read_failed(self, reason: str) -> None:
        """The broker did not answer: what was known of its queues is no longer true."""
        self._reading = None
        self.broker_up, self.broker_error = False, reason

    @property
    def reading(self) -> BrokerReading | None:
        """The latest reading while it is fresh enough to be shown."""
        reading = self._reading
        if reading is None or time.monotonic() - self._read_at > self._max_age:
            return None
        return reading
