"""A worker that a scenario added to a running stack."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from harness.errors import HarnessError
from harness.wait import Pending, until
from harness.way import Replica, Way

READY_SECONDS = 90.0
_OPTIONS = {"-n": 0, "-Q": 1, "-P": 2, "-c": 3}


class WorkerHandle:
    """One extra worker. As a context manager it is removed at the end, whatever happened to it."""

    def __init__(self, way: Way, copy: Replica, name: str, broker_url: Callable[[], str]) -> None:
        self._way, self._copy, self.name, self._broker_url = way, copy, name, broker_url
        #: The name of its Celery node, as in `celery status` and the exporter's label `hostname`.
        self.node = f"{name}@{way.node(copy)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.remove()

    def __repr__(self) -> str:
        return f"<worker {self.node}>"

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Return when its health check passes and it answers over the broker, so that its pool is there.

        Raises HarnessError with its log where it ends before that.
        """
        app = Celery(broker=self._broker_url(), set_as_current=False)

        def check() -> bool | Pending:
            condition = self._way.condition(self._copy)
            if condition.state == "exited":
                raise HarnessError(f"worker {self.name}: {condition.detail}\n{self.logs(20)}")
            if not condition.healthy:
                return Pending(f"{condition.state} {condition.detail}")
            answered = app.control.ping(destination=[self.node], timeout=2.0)
            return bool(answered) or Pending("healthy, and does not answer over the broker")

        try:
            # Redis' own errors too: a connection that outlived a restart of the broker is found dead when it is used.
            until(check, f"worker {self.name} to be ready", timeout, unready=(OperationalError, RedisError))
        finally:
            app.close()

    def alive(self) -> bool:
        """Whether it runs (a paused one does)."""
        return self._way.condition(self._copy).state != "exited"

    def kill(self) -> None:
        """SIGKILL to it and its pool at once: it says no goodbye."""
        self._way.kill(self._copy)

    def stop(self) -> None:
        """SIGTERM: it ends its tasks and says goodbye."""
        self._way.stop(self._copy)

    def start(self) -> None:
        """Start it again under the same name, after `kill` or `stop`, and wait until it is healthy."""
        self._way.start(self._copy)
        self.wait_ready()

    def pause(self) -> None:
        """Freeze it."""
        self._way.pause(self._copy)

    def resume(self) -> None:
        """Thaw it."""
        self._way.resume(self._copy)

    def children(self) -> list[int]:
        """The ids of its pool's processes, the oldest first."""
        return self._way.children(self._copy)

    def kill_child(self, index: int = 0) -> int:
        """SIGKILL to the pool process at this place; returns its id."""
        return kill_child(self._way, self._copy, index)

    def logs(self, lines: int | None = None) -> str:
        """What it wrote; with `lines`, the end of it."""
        return self._way.logs(self._copy, lines)

    def remove(self) -> None:
        """End it, if it runs, and forget it."""
        self._way.remove(self._copy)


def worker_command(command: Sequence[str], name: str, queues: Iterable[str], pool: str, concurrency: int) -> list[str]:
    """The command of the stack's own worker with another name, other queues and another pool.

    Raises HarnessError where the command does not spell these options as `-n -Q -P -c`.
    """
    values = (f"{name}@%h", ",".join(queues), pool, str(concurrency))
    result = list(command)
    for option, place in _OPTIONS.items():
        if option not in result:
            raise HarnessError(f"the command of service worker has no {option}: {' '.join(command)}")
        result[result.index(option) + 1] = values[place]
    return result


def kill_child(way: Way, copy: Replica, index: int) -> int:
    """SIGKILL to one pool process of a worker, the oldest being 0; returns its id."""
    children = way.children(copy)
    if not -len(children) <= index < len(children):
        raise HarnessError(f"{copy.name} has {len(children)} pool processes, none at place {index}")
    way.kill_child(copy, children[index])
    return children[index]
