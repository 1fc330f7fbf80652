"""Workers as they come, go and vanish; pools of every kind; backlogs: all with real workers."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from shopfleet import LONG, QUICK, is_up, producing, shop_worker

from harness.private_exporter import PrivateExporter, private_exporter, total
from harness.private_redis import PrivateRedis
from harness.wait import until

pytestmark = [pytest.mark.redis]

BACKLOG = 2_000


def _worker(exporter: PrivateExporter, metric: str, worker: str) -> float | None:
    found = [v for (name, has), v in exporter.series().items() if name == metric and ("worker", worker) in has]
    return found[0] if found else None


def test_workers_of_one_host_are_told_apart_alive_stopped_and_lost(redis_server: PrivateRedis, tmp_path: Path) -> None:
    url = redis_server.url
    options = (*QUICK, "--missed-heartbeats=3")
    with ExitStack() as stack:
        exporter = stack.enter_context(private_exporter(url, tmp_path, options))
        names = ("one@shop", "two@shop", "three@shop")
        pools = (("--pool=threads", "--concurrency=7"), ("--pool=solo",), ("--pool=prefork", "--concurrency=3"))
        workers = [
            stack.enter_context(shop_worker(url, tmp_path, name, pool=pool, queues="celery,shop"))
            for name, pool in zip(names, pools, strict=True)
        ]
        for name in names:
            until(is_up(exporter, name), f"{name} to be up", LONG)
        sizes = [_worker(exporter, "celery_worker_pool_size", name) for name in names]
        assert sizes == [7, 1, 3]
        series = exporter.series()
        assert total(series, "celery_worker_up", hostname="shop") == 3
        for metric, value in (("worker", 3), ("process", 11), ("consumer", 3)):
            assert total(series, f"celery_active_{metric}_count", queue_name="celery") == value
        kinds = {dict(has)["pool"] for (name, has) in series if name == "celery_worker_info"}
        assert kinds == {"thread", "solo", "prefork"}

        workers[0].signal(signal.SIGTERM)
        until(lambda: _worker(exporter, "celery_worker_up", "one@shop") == 0, "the goodbye", LONG)
        workers[2].kill()
        until(lambda: _worker(exporter, "celery_worker_up", "three@shop") == 0, "the loss to be noticed", LONG)
        lost = [_worker(exporter, "celery_worker_lost", name) for name in names]
        assert lost == [0, 0, 1]
        series = exporter.series()
        assert total(series, "celery_workers_lost_total") == 1
        assert total(series, "celery_worker_up") == 1
        # The dead do not count as readers of the queue, long before anybody is asked again. The name of the queue
        # is that of the host, which must not make a difference.
        assert total(series, "celery_active_worker_count", queue_name="shop") == 1

        workers[2] = stack.enter_context(shop_worker(url, tmp_path, "three@shop", pool=("--pool=solo",)))
        until(lambda: _worker(exporter, "celery_worker_lost", "three@shop") == 0, "its return", LONG)
        assert _worker(exporter, "celery_worker_up", "three@shop") == 1


def test_workers_that_are_gone_are_forgotten_in_the_end(redis_server: PrivateRedis, tmp_path: Path) -> None:
    options = (*QUICK, "--purge-offline-worker-metrics=1")
    with private_exporter(redis_server.url, tmp_path, options) as exporter:
        with shop_worker(redis_server.url, tmp_path, pool=("--pool=solo",)):
            until(is_up(exporter), "the worker to be up", LONG)
        until(lambda: _worker(exporter, "celery_worker_up", "one@shop") is None, "the worker to be forgotten", LONG)
        names = {name for name, has in exporter.series() if ("worker", "one@shop") in has}
        assert names == set()


def test_a_worker_without_events_is_told_and_loses_nothing(redis_server: PrivateRedis, tmp_path: Path) -> None:
    with ExitStack() as stack:
        exporter = stack.enter_context(private_exporter(redis_server.url, tmp_path, QUICK))
        conf = {"worker_send_task_events": False}
        stack.enter_context(shop_worker(redis_server.url, tmp_path, pool=("--pool=solo",), conf=conf))
        producer = stack.enter_context(producing(redis_server.url))
        until(is_up(exporter), "the worker to be up", LONG)

        def disabled() -> bool:
            producer.send_task("shop.add")
            return _worker(exporter, "celery_worker_task_events_disabled", "one@shop") == 1

        until(disabled, "the missing events to be noticed", LONG, interval=0.5)
        assert exporter.total("celery_worker_events_lost_total") == 0


def test_every_task_of_a_long_backlog_is_counted_on_its_queue(redis_server: PrivateRedis, tmp_path: Path) -> None:
    with ExitStack() as stack:
        exporter = stack.enter_context(private_exporter(redis_server.url, tmp_path, QUICK))
        producer = stack.enter_context(producing(redis_server.url))
        with producer.producer_or_acquire() as channel:
            for number in range(BACKLOG):
                producer.send_task("shop.add", queue="even" if number % 2 == 0 else "odd", producer=channel)
        until(lambda: exporter.total("celery_queue_length") == BACKLOG, "the whole backlog to be seen", LONG)
        stack.enter_context(
            shop_worker(
                redis_server.url, tmp_path, queues="even,odd", pool=("--pool=solo", "--prefetch-multiplier=100")
            )
        )
        until(lambda: exporter.total("celery_task_succeeded_total") == BACKLOG, "the backlog to be worked off", 240)
        series = exporter.series()
        for queue in ("even", "odd"):
            for metric in ("sent_total", "received_total", "started_total", "succeeded_total", "queue_wait_time_count"):
                assert total(series, f"celery_task_{metric}", queue_name=queue) == BACKLOG / 2, (metric, queue)
        assert total(series, "celery_exporter_unattributed_total") == 0
        assert total(series, "celery_exporter_tasks_tracked") == 0


def test_with_host_names_the_labels_are_those_of_the_exporter_people_have(
    redis_server: PrivateRedis, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        options = (*QUICK, "--task-hostname", "--generic-hostname-task-sent-metric", "--static-label=site=here")
        exporter = stack.enter_context(private_exporter(redis_server.url, tmp_path, options))
        stack.enter_context(shop_worker(redis_server.url, tmp_path))
        producer = stack.enter_context(producing(redis_server.url))
        until(is_up(exporter), "the worker to be up", LONG)
        producer.send_task("shop.add")
        producer.send_task("shop.fail")
        until(lambda: exporter.total("celery_task_succeeded_total", hostname="shop") == 1, "the success", LONG)
        until(lambda: exporter.total("celery_task_failures_total") == 1, "the failure", LONG)
        series = exporter.series()
        assert total(series, "celery_task_sent_total", hostname="generic", name="shop.add") == 1
        assert total(series, "celery_task_failed_total", hostname="shop", exception="ValueError") == 1
        usual = {"name", "hostname", "queue_name", "site"}
        for name, has in series:
            if name in {"celery_task_received_total", "celery_task_runtime_count", "celery_task_queue_wait_time_sum"}:
                assert {label for label, _ in has} == usual
            assert ("site", "here") in has or name.startswith(("process_", "python_"))
