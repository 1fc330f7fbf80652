"""Metrics, health and telemetry of the pools that run tasks in the worker's own process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from nodes import Process, worker
from otlp_receiver import Receiver, receiver

from harness.wait import until

DEADLINE = 90
POOLS = ("threads", "solo", "gevent")


@pytest.fixture
def otlp() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def node(pool: str, redis: Any, tmp_path: Path, otlp: Receiver) -> Iterator[Process]:
    with worker(
        redis,
        tmp_path,
        *("-P", pool, "-c", "2", "-Q", f"default,{pool}"),
        name=pool,
        OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url,
        # Nothing is sent in time: what arrives was flushed at the end.
        OTEL_BSP_SCHEDULE_DELAY="600000",
        OTEL_METRIC_EXPORT_INTERVAL="600000",
    ) as node:
        yield node


def test_a_pool_without_children_is_observed_alike(pool: str, node: Process, producer: Celery, otlp: Receiver) -> None:
    queue = {"queue": pool}
    for _ in range(6):
        producer.send_task("shop.add", (1, 2), **queue)
    producer.send_task("shop.flaky", (1,), **queue)
    nap = producer.send_task("slow.nap", (2,), **queue)
    until(lambda: node.value("worker_inflight_jobs", **queue) == 1, "the nap in flight", DEADLINE, interval=0.1)
    nap.get(timeout=DEADLINE)
    until(lambda: node.value("worker_jobs_total", task="shop.flaky", status="success") == 1, "the retry", DEADLINE)
    assert node.value("worker_jobs_total", task="shop.add", status="success", **queue) == 6
    assert node.value("worker_jobs_total", task="shop.flaky", status="retry") == 1
    assert node.value("worker_exec_seconds_count", **queue) == 9
    assert node.value("worker_queue_wait_seconds_count", **queue) == 9
    until(lambda: node.value("worker_inflight_jobs") == 0, "nothing in flight", DEADLINE)
    for path in ("/healthz", "/readyz", "/health"):
        status, report = node.page(path)
        assert (status, report["status"]) == (200, "healthy"), report
    assert not otlp.spans(), "the spans were to wait for the end"

    node.child.stop(timeout=60)
    ran = [span for span in otlp.spans() if span.kind == "CONSUMER"]
    assert sorted(span.name for span in ran) == sorted(
        ["run/shop.add"] * 6 + ["run/shop.flaky"] * 2 + ["run/slow.nap"]
    ), node.child.said(60)
    inner = [span for span in otlp.spans() if span.name == "adding"]
    assert {span.parent for span in inner} == {span.id for span in ran if span.name == "run/shop.add"}
    assert otlp.sum("celery.task.completed", task="shop.add") == 6
    assert otlp.sum("celery.task.retries", task="shop.flaky") == 1
    assert otlp.count("celery.task.duration", task="slow.nap") == 1
    assert otlp.last("celery.workers.active") == 1
