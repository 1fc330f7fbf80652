"""What the reading thread hands to the counting thread, with a limit on how much may pile up in between."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable

Decode = Callable[[bytes], Iterable[tuple[str, bytes]]]
"""Turns one piece of the stream into messages: the sender's node name, and the JSON of its events."""


class Piece:
    """A piece of the stream, as it came at ``at`` (the steady clock, seconds)."""

    __slots__ = ("at", "data", "decode")

    def __init__(self, at: float, data: bytes, decode: Decode) -> None:
        self.at = at
        self.data = data
        self.decode = decode


class Inbox:
    """A queue of pieces that knows its size in bytes. One thread puts, one takes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.put_in = 0
        self._pieces: queue.SimpleQueue[Piece] = queue.SimpleQueue()

    @property
    def size(self) -> int:
        """Bytes waiting."""
        return self.put_in - self.taken

    def put(self, piece: Piece) -> None:
        """Add a piece, whether or not there is room: who reads the stream asks :attr:`full` first."""
        self.put_in += len(piece.data)
        self._pieces.put(piece)

    @property
    def full(self) -> bool:
        """Whether more waits than should."""
        return self.size >= self.limit

    def take(self, timeout: float) -> Piece | None:
        """Return the next piece, or None when none came in time."""
        try:
            piece = self._pieces.get(timeout=timeout)
        except queue.Empty:
            return None
        self.taken += len(piece.data)
        return piece
