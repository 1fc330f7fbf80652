"""The counting thread: takes what was read, decodes it, counts it, and does what falls due with time."""

from __future__ import annotations

import ctypes
import gc
import logging
import threading
import time
from collections.abc import Iterable

from exporter.board import Board
from exporter.events import decode
from exporter.inbox import Inbox, Piece
from exporter.tasks import TaskTracker
from exporter.workers import WorkerTable

log = logging.getLogger("exporter.pipeline")

DROP_REASONS = ("malformed", "unknown_type", "content_type", "too_large", "buffer_full", "internal")
_TICK = 0.2
_STALL = 2.0
_TRIM_AFTER = 8 * 1024 * 1024


class Pipeline:
    """Owns the tracker and the worker table; an :class:`~exporter.interfaces.EventSink` for the sources."""

    def __init__(self, inbox: Inbox, tracker: TaskTracker, workers: WorkerTable, board: Board) -> None:
        self.inbox = inbox
        self._tracker = tracker
        self._workers = workers
        self._board = board
        self._reconnected = False
        self.dropped_by: dict[str, int] = dict.fromkeys(DROP_REASONS, 0)
        self._drop_lock = threading.Lock()
        self._ticked = 0.0
        self._offset = 0.0
        self._flooded = False

    # -- called by the source's thread ---------------------------------------------------------------------------------

    def connected(self) -> None:
        """See :class:`~exporter.interfaces.EventSink`."""
        self._board.stream_connects += 1
        self._reconnected = True
        self._board.stream_up = True

    def deliver(self, hostname: str, body: bytes) -> None:
        """See :class:`~exporter.interfaces.EventSink`."""
        if self.inbox.full:
            self.dropped("buffer_full")
            return

        def decoded(data: bytes) -> Iterable[tuple[str, bytes]]:
            return ((hostname, data),)

        self.inbox.put(Piece(time.monotonic(), body, decoded))

    def dropped(self, reason: str, count: int = 1) -> None:
        """See :class:`~exporter.interfaces.EventSink`."""
        with self._drop_lock:
            known = reason if reason in self.dropped_by else "internal"
            self.dropped_by[known] += count

    def queue_seen(self, name: str) -> None:
        """See :class:`~exporter.interfaces.EventSink`."""
        self._board.add_queue(name)

    # -- the counting thread -------------------------------------------------------------------------------------------

    def run(self, stop: threading.Event) -> None:
        """Count until told to stop."""
        self._ticked = time.monotonic()
        self._offset = time.time() - self._ticked
        while not stop.is_set():
            piece = self.inbox.take(_TICK)
            if piece is None:
                self._trim()
                self._tick(time.monotonic())
            else:
                self._take(piece)
                if piece.at - self._ticked >= _TICK:
                    self._tick(piece.at)

    def _take(self, piece: Piece) -> None:
        if self.inbox.size > _TRIM_AFTER:
            self._flooded = True
        wall = piece.at + self._offset
        dropped: dict[str, int] = {}
        count = self._tracker.count
        seen = False
        for node, body in piece.decode(piece.data):
            try:
                count(node, decode(body, dropped), piece.at, wall)
            except Exception as error:  # an event nobody thought of must not end the counting
                log.debug("an event could not be counted: %s", type(error).__name__)
                self.dropped("internal")
            seen = True
        for reason, number in dropped.items():
            self.dropped(reason, number)
        if seen:
            self._board.event_timestamp = wall

    def _tick(self, now: float) -> None:
        gap = now - self._ticked
        self._ticked = now
        self._offset = time.time() - time.monotonic()
        if self._reconnected:
            self._reconnected = False
            self._workers.hear_again(now)
        elif gap > _STALL:
            # The process was stopped or starved: nobody else is to blame for the silence.
            self._workers.grant(gap)
        self._tracker.tick(now, now + self._offset)
        if self._board.stream_up:
            self._workers.tick(now)

    def _trim(self) -> None:
        """After a flood, give the memory back that it took."""
        if not self._flooded:
            return
        self._flooded = False
        gc.collect()
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):
            log.debug("this C library cannot give memory back")
