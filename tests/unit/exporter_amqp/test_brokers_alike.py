"""The whole exporter on RabbitMQ and on Redis: one fleet, the same series."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from amqp_shop import QUEUE
from celery import Celery

from harness.child import running
from harness.private_exporter import PrivateExporter, private_exporter
from harness.private_redis import private_redis
from harness.rabbitmq import PrivateRabbitMQ
from harness.wait import Pending, until

HERE = Path(__file__).parent
WORKER = "till@shop"
#: A worker takes some seconds to start, and many on a busy machine.
DEADLINE = 120
WAITING = 3
SERIES = {
    "celery_task_sent_total",
    "celery_task_received_total",
    "celery_task_started_total",
    "celery_task_succeeded_total",
    "celery_task_failed_total",
    "celery_task_runtime_count",
    "celery_task_queue_wait_time_count",
    "celery_worker_up",
    "celery_worker_tasks_active",
    "celery_queue_length",
    "celery_active_worker_count",
    "celery_active_process_count",
}

pytestmark = [pytest.mark.rabbitmq, pytest.mark.redis]


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with private_redis(tmp_path / "redis") as server:
        yield server.url


@contextmanager
def _worker(url: str, folder: Path) -> Iterator[None]:
    command = [
        sys.executable, "-m", "celery", "-A", "amqp_shop", "worker", "-n", WORKER, "--concurrency=1", "--loglevel=info",
    ]  # fmt: skip
    environ = {**os.environ, "SHOP_BROKER": url, "PYTHONPATH": str(HERE)}
    with running(command, log=folder / "worker.log", env=environ, cwd=folder):
        yield


def _publish(url: str, task: str, *args: str, count: int = 1) -> None:
    with Celery(broker=url, set_as_current=False) as producer:
        # Confirmed messages are on RabbitMQ's disk, where a crash leaves them.
        producer.conf.update(
            broker_transport_options={"confirm_publish": True}, task_ignore_result=True, task_send_sent_event=True
        )
        for _ in range(count):
            producer.send_task(task, args, queue=QUEUE)


def _values(exporter: PrivateExporter, *wanted: str) -> dict[str, float]:
    """The value of each named series of the queue or the worker, where there is one."""
    found: dict[str, float] = {}
    for (name, labels), value in exporter.series().items():
        if name in wanted and ({("queue_name", QUEUE), ("worker", WORKER)} & labels):
            found[name] = found.get(name, 0) + value
    return found


def _until(exporter: PrivateExporter, expected: dict[str, float]) -> None:
    def same() -> bool | Pending:
        found = _values(exporter, *expected)
        return found == expected or Pending(str({k: found.get(k) for k, v in expected.items() if found.get(k) != v}))

    until(same, "the expected series", DEADLINE)


def _put_a_fleet_through(url: str, folder: Path, options: list[str], *, unacked: bool, consumers: bool) -> set[str]:
    """One worker with a running, a prefetched and some waiting tasks, then with none; names of the series it made."""
    gate = folder / "gate"
    with private_exporter(url, folder, [*options, "--queue-interval=0.5", "--inspect-interval=2"]) as exporter:
        with _worker(url, folder):
            until(lambda: exporter.total("celery_worker_up", worker=WORKER) == 1, "the worker to be up", DEADLINE)
            _publish(url, "shop.sell", str(gate), count=2 + WAITING)
            expected = {"celery_queue_length": WAITING, "celery_worker_tasks_active": 1, "celery_task_sent_total": 5}
            if unacked:
                expected["celery_queue_unacked"] = 2
            if consumers:
                expected["celery_active_consumer_count"] = 1
            _until(exporter, {**expected, "celery_active_worker_count": 1, "celery_active_process_count": 1})
            gate.touch()
            _publish(url, "shop.refuse")
            done = {f"celery_task_{kind}_total": 6.0 for kind in ("sent", "received", "started")}
            done |= {"celery_task_succeeded_total": 5, "celery_task_failed_total": 1, "celery_queue_length": 0}
            if unacked:
                done["celery_queue_unacked"] = 0
            _until(exporter, {**done, "celery_task_runtime_count": 5, "celery_task_queue_wait_time_count": 6})
            names = {name for name, _labels in exporter.series()}
        until(lambda: exporter.total("celery_worker_up", worker=WORKER) == 0, "the worker to be down", DEADLINE)
        assert exporter.total("celery_worker_lost", worker=WORKER) == 0
        return names


def test_the_same_fleet_makes_the_same_series(rabbitmq: PrivateRabbitMQ, redis_url: str, tmp_path: Path) -> None:
    api = [f"--management-url={rabbitmq.management_url}"]
    on_rabbitmq = _put_a_fleet_through(rabbitmq.url, tmp_path / "rabbitmq-api", api, unacked=True, consumers=True)
    plain = _put_a_fleet_through(rabbitmq.url, tmp_path / "rabbitmq-plain", [], unacked=False, consumers=True)
    on_redis = _put_a_fleet_through(redis_url, tmp_path / "redis-fleet", [], unacked=True, consumers=False)
    assert on_rabbitmq >= SERIES
    assert plain >= SERIES
    assert on_redis >= SERIES
    # What a fleet does is told alike, whatever carries its tasks.
    alike = {name for name in on_redis if name.startswith(("celery_task_", "celery_worker_"))}
    assert alike == {name for name in on_rabbitmq if name.startswith(("celery_task_", "celery_worker_"))}


def test_counts_again_after_a_restart_and_says_nothing_stale_meanwhile(
    rabbitmq: PrivateRabbitMQ, tmp_path: Path
) -> None:
    options = [f"--management-url={rabbitmq.management_url}", "--queue-interval=0.5"]
    with private_exporter(rabbitmq.url, tmp_path, options) as exporter:
        _publish(rabbitmq.url, "shop.sell", count=2)
        _until(exporter, {"celery_queue_length": 2, "celery_task_sent_total": 2})
        rabbitmq.kill()
        until(lambda: exporter.total("celery_broker_up") == 0, "the broker to be told down", DEADLINE)
        until(lambda: not _values(exporter, "celery_queue_length", "celery_queue_unacked"), "no depth", DEADLINE)
        assert exporter.total("celery_exporter_event_stream_up") == 0
        rabbitmq.start()
        until(exporter.listening, "the exporter to hear events again", DEADLINE)
        _publish(rabbitmq.url, "shop.sell")
        _until(exporter, {"celery_queue_length": 3, "celery_task_sent_total": 3})
        assert exporter.total("celery_broker_up") == 1
        assert exporter.child.running
        log = exporter.child.said(1000)
    assert rabbitmq.password not in log
    assert "Traceback" not in log
    with Celery(broker=rabbitmq.url, set_as_current=False) as app, app.connection_for_write() as connection:
        connection.default_channel.queue_delete(QUEUE)
