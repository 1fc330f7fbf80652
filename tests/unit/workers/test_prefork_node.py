"""A prefork worker node's metrics: right through recycled, killed and restarted children."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from nodes import Process, worker

from harness.wait import Pending, until

DEADLINE = 90
CHILDREN = 2
BUCKETS = """
[exec]
slow = [0.3, 77]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefork")


@pytest.fixture(scope="module")
def node(redis: Any, folder: Path) -> Iterator[Process]:
    (folder / "buckets.toml").write_text(BUCKETS)
    arguments = ("-c", str(CHILDREN), "-Q", "default,slow", "--max-tasks-per-child", "5")
    with worker(
        redis,
        folder,
        *arguments,
        METRICS_BUCKETS_FILE=str(folder / "buckets.toml"),
        PROMETHEUS_MULTIPROC_DIR=str(folder / "metrics"),
    ) as node:
        yield node


def send(producer: Celery, task: str, *args: object, times: int = 1, **options: Any) -> list[Any]:
    return [producer.send_task(task, args, **options) for _ in range(times)]


def reaches(node: Process, wanted: float, name: str, **labels: str) -> None:
    """Wait for a counter's value, and that it is no more than that."""

    def there() -> bool | Pending:
        seen = node.value(name, **labels)
        assert seen <= wanted, f"{name}{labels} counted {seen} of {wanted}"
        return seen == wanted or Pending(f"{name}{labels} is {seen}")

    until(there, f"{name}{labels} to reach {wanted}", DEADLINE, unready=(OSError,))


def test_series_are_there_before_they_count(node: Process) -> None:
    samples = node.samples("worker_jobs_total")
    assert ({"queue": "default", "task": "shop.never", "status": "failure"}, 0.0) in samples


def test_every_attempt_counts_once_though_children_are_recycled(node: Process, producer: Celery, folder: Path) -> None:
    totals: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            totals.append(node.value("worker_jobs_total"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        send(producer, "shop.add", 1, 2, times=40)
        send(producer, "shop.fail", times=5)
        send(producer, "shop.flaky", 1, times=3)
        reaches(node, 40, "worker_jobs_total", task="shop.add", status="success", queue="default")
        reaches(node, 5, "worker_jobs_total", task="shop.fail", status="failure")
        reaches(node, 3, "worker_jobs_total", task="shop.flaky", status="retry")
        reaches(node, 3, "worker_jobs_total", task="shop.flaky", status="success")
    finally:
        over.set()
        watcher.join()
    assert totals == sorted(totals), "a counter went back"
    assert node.value("worker_retries_total", task="shop.flaky", reason="ConnectionError") == 3
    assert node.value("worker_exec_seconds_count", task="shop.add") == 40
    assert node.value("worker_queue_wait_seconds_count", queue="default") == 51
    assert node.value("shop_sold_total") == 40, "the application's own metric"
    # 51 attempts made at least ten children; the files are those of the living, the parent and the merged.
    owners = {file.stem.rpartition("_")[2] for file in (folder / "metrics").glob("*.db")}
    assert len(owners - {"merged"}) <= CHILDREN + 1
    assert "merged" in owners


def test_buckets_are_the_queues_own(node: Process, producer: Celery) -> None:
    send(producer, "slow.nap", 0)
    reaches(node, 1, "worker_exec_seconds_count", queue="slow")
    bounds = {
        queue: [labels["le"] for labels, _ in node.samples("worker_exec_seconds_bucket") if labels["queue"] == queue]
        for queue in ("slow", "default")
    }
    assert bounds["slow"] == ["0.3", "77.0", "+Inf"]
    assert {"0.005", "300.0"} <= set(bounds["default"])


def test_an_eta_is_not_waiting(node: Process, producer: Celery) -> None:
    before = node.value("worker_queue_wait_seconds_sum", queue="default")
    count = node.value("worker_jobs_total", task="shop.never")
    send(producer, "shop.never", countdown=20)
    send(producer, "shop.never", countdown=3)
    reaches(node, count + 1, "worker_jobs_total", task="shop.never")
    waited = node.value("worker_queue_wait_seconds_sum", queue="default") - before
    assert 0 <= waited < 3, "the countdown counted as waiting"


def test_inflight_and_depth_follow_the_work(node: Process, producer: Celery, redis: Any) -> None:
    napping = send(producer, "slow.nap", 4, times=8)

    def busy() -> bool | Pending:
        inflight, depth = (
            node.value("worker_inflight_jobs", queue="slow"),
            node.value("worker_queue_depth", queue="slow"),
        )
        return (inflight == CHILDREN and depth > 0) or Pending(f"in flight {inflight}, depth {depth}")

    until(busy, "two tasks in flight and some queued", DEADLINE)
    for nap in napping:
        nap.revoke()
    until(lambda: node.value("worker_inflight_jobs") == 0, "nothing in flight", DEADLINE)


def test_a_killed_child_leaves_its_counts_and_takes_its_gauges(node: Process, producer: Celery) -> None:
    before = node.value("worker_jobs_total", task="shop.add", status="success")
    pids: list[int] = []

    def open_cart() -> bool:
        # Once more where this was a child's last task: its gauge went with it.
        pids.extend(result.get(timeout=DEADLINE) for result in send(producer, "shop.open_cart"))
        return node.value("shop_open_carts") >= 1

    until(open_cart, "the cart's gauge", DEADLINE)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: node.value("shop_open_carts") == 0, "the dead child's gauge to vanish", DEADLINE)
    reaches(node, len(pids), "worker_jobs_total", task="shop.open_cart", status="success")
    assert node.value("worker_jobs_total", task="shop.add", status="success") == before


def test_the_parent_counts_what_its_children_cannot(node: Process, producer: Celery) -> None:
    send(producer, "shop.die")
    reaches(node, 1, "worker_jobs_total", task="shop.die", status="failure", queue="default")
    send(producer, "shop.overrun", queue="slow")
    reaches(node, 1, "worker_jobs_total", task="shop.overrun", status="failure", queue="slow")
    assert node.value("worker_inflight_jobs") == 0


def test_counters_go_on_through_a_warm_restart(node: Process, producer: Celery) -> None:
    before = node.value("worker_jobs_total", task="shop.add", status="success")
    started = node.child.pid, node.value("process_start_time_seconds")
    said = node.child.log.read_text().count("ready")
    node.child.signal(signal.SIGHUP)
    until(lambda: node.child.log.read_text().count("ready") > said, "the worker to be ready again", DEADLINE)
    node.wait_ready()
    assert (node.child.pid, node.value("process_start_time_seconds")) == started
    assert node.value("worker_jobs_total", task="shop.add", status="success") == before
    send(producer, "shop.add", 1, 1, times=6)
    reaches(node, before + 6, "worker_jobs_total", task="shop.add", status="success")
