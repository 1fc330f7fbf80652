"""An event sink that remembers."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class RecordingSink:
    """An event sink that keeps what it is given."""

    up: threading.Event = field(default_factory=threading.Event)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)

    def connected(self) -> None:
        self.up.set()

    def deliver(self, hostname: str, body: bytes) -> None:
        self.bodies.append((hostname, body))

    def dropped(self, reason: str, count: int = 1) -> None:
        self.drops[reason] += count

    def queue_seen(self, name: str) -> None:
        """Not told by this source."""

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events so far, batches taken apart."""
        found = []
        for _hostname, body in list(self.bodies):
            decoded = json.loads(body)
            found += decoded if isinstance(decoded, list) else [decoded]
        return found
