"""A Redis of a test's own: on a free port of the loopback, with nothing kept on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from harness.binaries import find
from harness.child import Child, start
from harness.ports import free_ports
from harness.wait import until

READY_SECONDS = 60


class PrivateRedis:
    """A Redis server that can be killed and started again on the same port, empty each time.

    ``settings`` are lines of redis.conf as name and value, such as ``{"maxmemory": "100mb"}``.
    """

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        (self.port,) = free_ports(1)
        self.folder = folder
        self.settings = settings or {}
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A new client of database 0 that answers in bytes."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=30)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tool = find("redis-server")
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "save": "",
            "appendonly": "no",
            **self.settings,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.child = start(tool.command(*words), log=self.folder / "redis.log", env={**os.environ, **tool.env})
        until(self.answers, f"an answer of Redis on port {self.port}", READY_SECONDS, interval=0.02)

    def answers(self) -> bool:
        """Whether the server answers a PING now."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """End the server as a crash would."""
        if self.child:
            self.child.kill()
            self.child = None


@contextmanager
def private_redis(folder: Path, settings: dict[str, str] | None = None) -> Iterator[PrivateRedis]:
    """A Redis for the time of a block."""
    server = PrivateRedis(folder, settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
