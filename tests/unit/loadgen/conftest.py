"""A Redis, workers and load generators for the time of a test."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from runs import Runs

from harness.private_redis import PrivateRedis, private_redis


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateRedis]:
    with private_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def runs(tmp_path: Path, broker: PrivateRedis) -> Iterator[Runs]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOAD_", "LOADGEN_", "BROKER_", "RESULT_", "OTEL_"))
    }
    environment = {
        **kept,
        "BROKER_URL": broker.url,
        "RESULT_BACKEND_URL": f"redis://127.0.0.1:{broker.port}/1",
        "PAYMENT_DECLINE_RATE": "0",
        "PAYMENT_BUSY_RATE": "0",
        "METRICS_PORT": "off",
        "PYTHONUNBUFFERED": "1",
    }
    with ExitStack() as started:
        yield Runs(sys.executable, tmp_path, environment, started)
