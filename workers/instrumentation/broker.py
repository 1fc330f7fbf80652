"""What the broker says of itself, asked from a thread of its own so that no scrape or probe waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from workers.instrumentation.verdict import Verdict

#: The broker is asked this often: often enough for a probe every ten seconds, and next to no load.
ASK_SECONDS = 5.0
TIMEOUT_SECONDS = 2.0
#: An answer that is older than this does not count: the asking itself hangs.
STALE_SECONDS = 20.0


class Broker:
    """Whether the broker answers, and the depths of some queues, as of a few seconds ago."""

    def __init__(self, app: Any, queues: Callable[[], Iterable[str]] = tuple) -> None:
        self._app, self._queues = app, queues
        self._connection: Any = None
        self._asked_at = 0.0
        self._verdict = Verdict(False, "not asked yet")
        #: Messages waiting by queue; empty while the broker does not answer: an old depth would be a lie.
        self.depths: dict[str, int] = {}

    def start(self) -> None:
        """Ask from now on, until the process ends."""
        threading.Thread(target=self._ask_forever, name="broker probe", daemon=True).start()

    def verdict(self) -> Verdict:
        """Whether the broker answered when it was last asked."""
        age = time.monotonic() - self._asked_at
        if self._asked_at and age > STALE_SECONDS:
            return Verdict(False, f"the broker could not be asked for {age:.0f} s")
        return self._verdict

    def _ask_forever(self) -> None:
        pause = threading.Event()
        while True:
            self.ask()
            pause.wait(ASK_SECONDS)

    def ask(self) -> None:
        """Ask once, now."""
        try:
            depths = self._read()
        except Exception as error:
            self._drop()
            self._verdict, self.depths = Verdict(False, f"the broker does not answer ({type(error).__name__})"), {}
        else:
            self._verdict, self.depths = Verdict(True, "the broker answers"), depths
        self._asked_at = time.monotonic()

    def _read(self) -> dict[str, int]:
        if self._connection is None:
            options = {
                **self._app.conf.broker_transport_options,
                "socket_timeout": TIMEOUT_SECONDS,
                "socket_connect_timeout": TIMEOUT_SECONDS,
            }
            self._connection = self._app.connection_for_read(transport_options=options, connect_timeout=TIMEOUT_SECONDS)
        connection = self._connection
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_SECONDS)
        channel = connection.default_channel
        if hasattr(getattr(channel, "client", None), "ping"):
            channel.client.ping()
        # A virtual transport counts by itself; its declaration would refuse an empty queue as unknown.
        size = getattr(channel, "_size", None)
        return {
            name: int(size(name) if size else channel.queue_declare(name, passive=True).message_count)
            for name in list(self._queues())
        }

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.release()
