"""What the tests of this folder are made of: workers, producers, and a whole fleet."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from harness.child import Child, running
from harness.private_exporter import PrivateExporter
from harness.private_redis import PrivateRedis
from harness.wait import until

HERE = Path(__file__).parent
LONG = 90.0
"""A deadline for whatever needs a process to start, on a busy machine."""
QUICK = ("--queue-interval=0.3", "--inspect-interval=2", "--inspect-timeout=2")


@contextmanager
def shop_worker(
    url: str,
    folder: Path,
    name: str = "one@shop",
    *,
    queues: str = "celery",
    pool: Sequence[str] = ("--pool=prefork", "--concurrency=2"),
    conf: Mapping[str, Any] | None = None,
) -> Iterator[Child]:
    """A worker of the application in ``shop.py`` for the time of a block; the caller waits until it is seen."""
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-n", name, "-Q", queues, "-l", "warning"]
    env = {**os.environ, "SHOP_BROKER": url, "SHOP_CONF": json.dumps(dict(conf or {})), "PYTHONPATH": str(HERE)}
    with running([*command, *pool], log=folder / f"{name}.log", env=env, cwd=HERE) as child:
        yield child


def is_up(exporter: PrivateExporter, name: str = "one@shop") -> Callable[[], bool]:
    """A check that the exporter has heard of this worker and knows what it reads."""

    def check() -> bool:
        series = exporter.series()
        up = [value for (metric, labels), value in series.items() if metric == "celery_worker_up" and labels >= node]
        size = [metric for metric, labels in series if metric == "celery_worker_pool_size" and labels >= node]
        return up == [1] and bool(size)

    node = {("worker", name)}
    return check


@contextmanager
def producing(url: str, **conf: Any) -> Iterator[Celery]:
    """An application that publishes by name and announces what it sends."""
    app = Celery("producer", broker=url, set_as_current=False)
    app.conf.update(task_send_sent_event=True, task_ignore_result=True, **conf)
    with app:
        yield app


class Fleet:
    """A broker, an exporter, one prefork worker and a producer, shared by the tests of a module."""

    def __init__(self, broker: PrivateRedis, exporter: PrivateExporter, worker: Child, producer: Celery) -> None:
        self.broker = broker
        self.exporter = exporter
        self.worker = worker
        self.producer = producer

    def send(self, name: str, *args: Any, **options: Any) -> Any:
        """Publish a task by name."""
        return self.producer.send_task(name, args=args, **options)

    def until_total(self, value: float, metric: str, **labels: str) -> None:
        """Wait until the sum over these samples is ``value``."""
        until(
            lambda: self.exporter.total(metric, **labels) == value,
            f"{metric}{labels} to be {value}, is {self.exporter.total(metric, **labels)}",
            LONG,
        )
