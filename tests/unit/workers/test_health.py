"""Health of a worker: truthful when it hangs, although its heartbeats go on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery
from nodes import Process, worker

from harness.private_redis import PrivateRedis, private_redis
from harness.wait import Pending, holds, until

DEADLINE = 90
#: What is promised: a hung worker is told within this.
PROMISE = 30


@pytest.fixture
def node(redis: Any, tmp_path: Path) -> Iterator[Process]:
    with worker(redis, tmp_path, "-c", "2", "-Q", "default", name="health") as node:
        yield node


@contextmanager
def heartbeats(app: Celery) -> Iterator[list[float]]:
    """When heartbeats arrived during the block."""
    seen: list[float] = []
    with app.connection_for_read() as connection:
        events = app.events.Receiver(connection, handlers={"worker-heartbeat": lambda _: seen.append(time.monotonic())})
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    events.capture(limit=None, timeout=1, wakeup=False)
                except (OSError, TimeoutError):
                    continue

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            yield seen
        finally:
            over.set()
            listener.join(timeout=10)


def turns(node: Process, path: str, status: int) -> dict[str, Any]:
    """Wait until a page answers with ``status``, and return its report."""

    def turned() -> dict[str, Any] | Pending:
        found, report = node.page(path)
        return report if found == status else Pending(str(report))

    return until(turned, f"{path} to answer {status}", DEADLINE, unready=(OSError,))


def test_every_check_of_a_well_worker_has_a_status_and_a_time(node: Process) -> None:
    status, report = node.page("/health")
    assert (status, report["status"]) == (200, "healthy")
    assert {"broker", "worker", "event_loop", "pool"} <= set(report["checks"])
    for check in report["checks"].values():
        assert check["status"] == "healthy"
        assert 0 <= check["seconds"] < 5
        assert check["detail"]
    assert node.page("/nothing")[0] == 404


@pytest.mark.parametrize(
    ("command", "reason"), [("lose_consumer", "not read from the broker"), ("cancel_all", "no queue is consumed")]
)
def test_a_worker_that_stopped_consuming_is_unhealthy_while_its_heartbeats_go_on(
    node: Process, producer: Celery, command: str, reason: str
) -> None:
    producer.control.broadcast(command)
    started = time.monotonic()
    with heartbeats(producer) as seen:
        report = turns(node, "/healthz", 503)
        took = time.monotonic() - started
        told = time.monotonic()
        until(lambda: seen and seen[-1] > told, "a heartbeat after that", DEADLINE)
    assert took < PROMISE
    assert reason in report["checks"]["worker"]["detail"]
    assert report["checks"]["event_loop"]["status"] == "healthy"


def test_a_hung_event_loop_is_unhealthy_until_it_turns_again(node: Process, producer: Celery) -> None:
    producer.control.broadcast("hang_loop", arguments={"seconds": 25.0})
    assert "has not turned" in turns(node, "/healthz", 503)["checks"]["event_loop"]["detail"]
    turns(node, "/healthz", 200)


def test_stopped_children_are_unhealthy_while_heartbeats_go_on(node: Process, producer: Celery) -> None:
    children = [child.pid for child in psutil.Process(node.child.pid).children()]
    assert len(children) == 2
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    with heartbeats(producer) as seen:
        assert "none of 2" in turns(node, "/healthz", 503)["checks"]["pool"]["detail"]
        told = time.monotonic()
        until(lambda: seen and seen[-1] > told, "a heartbeat after that", DEADLINE)
    for pid in children:
        os.kill(pid, signal.SIGCONT)
    turns(node, "/healthz", 200)


def test_a_broker_that_is_away_makes_a_worker_unready_and_not_unhealthy(tmp_path: Path) -> None:
    with private_redis(tmp_path / "redis") as broker:
        _broker_goes_and_comes(broker, tmp_path)


def _broker_goes_and_comes(broker: PrivateRedis, folder: Path) -> None:
    with worker(broker, folder, "-P", "threads", "-c", "2", "-Q", "default") as node:
        broker.kill()
        until(lambda: node.page("/readyz")[1]["checks"]["broker"]["status"] == "unhealthy", "no broker", DEADLINE)
        assert node.page("/readyz")[0] == 503
        holds(lambda: node.page("/healthz")[0] == 200, "/healthz stays 200 without a broker", seconds=5)
        assert not node.samples("worker_queue_depth"), "an old depth is a lie"
        broker.start()
        turns(node, "/readyz", 200)
        assert node.page("/healthz")[0] == 200
