"""Real Celery workers for the measurements that need one, and their application."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from celery import Celery

from harness.child import Child, start
from tests.bench.exporter.subjects import ROOT

QUEUE = "q1"

app = Celery("bench", broker=os.environ.get("BENCH_BROKER", "redis://127.0.0.1:1/0"), set_as_current=False)
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_send_sent_event=True,
    worker_send_task_events=True,
)


@app.task(name="bench.nothing")
def nothing() -> None:
    """A task without work: the time that it takes is Celery's."""


def publish(url: str, tasks: int) -> None:
    """Publish tasks, each with its task-sent event."""
    with Celery("bench", broker=url, set_as_current=False) as producer:
        producer.conf.update(task_send_sent_event=True, task_ignore_result=True)
        with producer.producer_or_acquire() as channel:
            for _ in range(tasks):
                producer.send_task("bench.nothing", queue=QUEUE, producer=channel)


@contextmanager
def workers(url: str, names: Sequence[str], folder: Path, *options: str) -> Iterator[list[Child]]:
    """Workers by these node names (``one@host``) for the time of a block. The caller waits until they are seen."""
    with ExitStack() as stack:
        started = []
        for name in names:
            command = [
                sys.executable, "-m", "celery", "-A", "tests.bench.exporter.workers:app", "worker",
                "-n", name, "--loglevel=warning", *(options or ("--pool=solo",)),
            ]  # fmt: skip
            child = start(command, log=folder / f"{name}.log", env={**os.environ, "BENCH_BROKER": url}, cwd=ROOT)
            stack.callback(child.stop)
            started.append(child)
        stack.callback(lambda: [child.process.terminate() for child in started if child.running])
        yield started
