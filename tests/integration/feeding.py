"""A producer that sends tasks at a steady pace until it is told to stop."""

from __future__ import annotations

import itertools
import threading
import time
from types import TracebackType
from typing import Self

from harness.producer import Producer
from tests.integration.scenario import Feed


class Feeder:
    """Publishes one scenario's feed from a thread of its own. Publishing errors end it and are raised at the end."""

    def __init__(self, producer: Producer, queue: str, feed: Feed) -> None:
        self._producer, self._queue, self._feed = producer, queue, feed
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"feed {queue}", daemon=True)
        self._error: Exception | None = None
        self.sent = 0
        self._turns = itertools.cycle(feed.tasks)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        self._over.set()
        self._thread.join(60)
        if self._error and kind is None:
            raise self._error

    def _run(self) -> None:
        started = time.monotonic()
        # Open model: what is due is sent, however long sending takes.
        while not self._over.wait(0.25):
            due = int((time.monotonic() - started) * self._feed.per_second) - self.sent
            if due <= 0:
                continue
            try:
                for task, args in itertools.islice(self._turns, due):
                    self._producer.send(self._queue, 1, task, args, **self._feed.options)
            except Exception as error:
                self._error = error
                return
            self.sent += due
