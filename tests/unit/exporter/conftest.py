"""Real brokers, exporters and workers for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from shopfleet import LONG, QUICK, Fleet, is_up, producing, shop_worker

from harness.private_exporter import private_exporter
from harness.private_redis import PrivateRedis, private_redis
from harness.wait import until


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A Redis of this test's own."""
    with private_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The usual fleet, all of it quiet at first."""
    folder = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:
        broker = stack.enter_context(private_redis(folder / "redis"))
        exporter = stack.enter_context(private_exporter(broker.url, folder, QUICK))
        worker = stack.enter_context(shop_worker(broker.url, folder, queues="celery,other"))
        producer = stack.enter_context(producing(broker.url))
        until(is_up(exporter), "the worker to be up", LONG)
        yield Fleet(broker, exporter, worker, producer)
