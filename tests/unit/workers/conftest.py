"""A Redis for the module, and an application that publishes to it from the test's own process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery

from harness.private_redis import PrivateRedis, private_redis
from workers.instrumentation import stamp


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    """A real Redis of this module's own."""
    with private_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def producer(redis: PrivateRedis) -> Iterator[Celery]:
    """An application that knows tasks by name only, as a producer in another code base does."""
    app = Celery("producer", broker=redis.url, backend=redis.url.removesuffix("/0") + "/1", set_as_current=False)
    app.conf.update(task_default_queue="default", task_routes={"slow.*": {"queue": "slow"}})
    stamp(app)
    yield app
    app.close()
