"""Takes accepted orders from the outbox to the broker, from a thread of its own."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from workers.gateway.outbox import Outbox, Waiting
from workers.instrumentation.verdict import Verdict

logger = logging.getLogger(__name__)

BATCH = 100
IDLE_SECONDS = 1.0
#: Pause after a failure, doubled by each further one up to the second.
BACKOFF_SECONDS = (0.2, 2.0)
#: A drainer that has not gone round for this long hangs.
STALL_SECONDS = 30.0


class Drainer:
    """Publishes the oldest orders first, and knows whether the broker takes them."""

    def __init__(self, outbox: Outbox, publish: Callable[[Waiting], None]) -> None:
        self._outbox, self._publish = outbox, publish
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox drainer", daemon=True)
        self._turned_at = time.monotonic()
        #: Why the broker did not take the last order; empty while it does.
        self.trouble = ""
        self.failures = 0
        self.sent = 0

    def start(self) -> None:
        """Drain from now on."""
        self._thread.start()

    def wake(self) -> None:
        """An order has come in."""
        self._wake.set()

    def stop(self) -> None:
        """End after the order that is being published."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=10)

    def verdict(self) -> Verdict:
        """Whether the thread goes round; a broker that is away does not stop it."""
        silent = time.monotonic() - self._turned_at
        if not self._thread.is_alive():
            return Verdict(False, "the drainer has ended")
        return Verdict(silent < STALL_SECONDS, f"went round {silent:.1f} s ago")

    def _run(self) -> None:
        pause = BACKOFF_SECONDS[0]
        while not self._stop.is_set():
            self._turned_at = time.monotonic()
            self._wake.clear()
            try:
                moved = self._round()
            except sqlite3.Error as error:
                logger.error("the outbox cannot be read: %s", error)
                moved = False
            if not moved or self.trouble:
                self._stop.wait(pause)
                pause = min(2 * pause, BACKOFF_SECONDS[1])
            else:
                pause = BACKOFF_SECONDS[0]
                if not self._outbox.depth():
                    self._wake.wait(IDLE_SECONDS)

    def _round(self) -> bool:
        """Publish what waits, up to a batch; return False where the broker refused."""
        sent: list[str] = []
        try:
            for order in self._outbox.waiting(BATCH):
                try:
                    self._publish(order)
                except Exception as error:
                    self._note(f"the broker does not take orders ({type(error).__name__})")
                    self.failures += 1
                    return False
                sent.append(order.id)
                if self._stop.is_set():
                    break
            if sent:
                self._note("")
            return True
        finally:
            if sent:
                self.sent += len(sent)
                self._outbox.published(sent)

    def _note(self, trouble: str) -> None:
        if trouble and not self.trouble:
            logger.warning("%s; %d wait in the outbox", trouble, self._outbox.depth())
        elif self.trouble and not trouble:
            logger.info("the broker takes orders again; %d wait in the outbox", self._outbox.depth())
        self.trouble = trouble
