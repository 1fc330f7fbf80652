"""What a fault works with: the stack, its broker, a producer, and the memory of what was done."""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis import Redis

from harness.producer import Producer

if TYPE_CHECKING:
    from harness.stack import Stack

Value = str | int | float


@dataclass
class Record:
    """One injected fault as it is remembered: by which name, how, since when, and what undoing it takes."""

    name: str
    params: dict[str, Value]
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    at: float = field(default_factory=time.time)
    memo: dict[str, Any] = field(default_factory=dict)


class Context:
    """A stack with the connections that faults use, made on first use."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.log = Log(stack.run / "faults.json")

    @cached_property
    def redis(self) -> Redis:
        """The broker's database."""
        client: Redis = Redis.from_url(self.stack.broker_url(), decode_responses=True, socket_timeout=20)
        return client

    @cached_property
    def producer(self) -> Producer:
        """A producer of the stack's broker."""
        return Producer(self.stack.broker_url())

    def close(self) -> None:
        """Give back what was opened."""
        for name in ("redis", "producer"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()


class Log:
    """The faults that are active, in a file, so that another process can heal them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Record]:
        """What is active, oldest first."""
        try:
            return [Record(**row) for row in json.loads(self._path.read_text(encoding="utf-8"))]
        except FileNotFoundError:
            return []

    def add(self, record: Record) -> None:
        """Remember a fault, or what was learnt about it since."""
        with self._locked():
            self._write([*(r for r in self.read() if r.id != record.id), record])

    def remove(self, record: Record) -> None:
        """Forget a fault that was healed."""
        with self._locked():
            self._write([r for r in self.read() if r.id != record.id])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write(self, records: list[Record]) -> None:
        partial = self._path.with_suffix(".new")
        partial.write_text(json.dumps([asdict(record) for record in records], indent=1), encoding="utf-8")
        os.replace(partial, self._path)


def text(params: Mapping[str, Value], name: str) -> str:
    """A parameter as text."""
    return str(params[name])
