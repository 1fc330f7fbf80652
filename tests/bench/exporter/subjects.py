"""What is measured: this project's exporter, the published one, and the bare loop."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

from harness.child import Child, running
from harness.environments import Environment
from harness.ports import free_ports
from harness.private_exporter import Series, parse, total
from harness.private_redis import PrivateRedis
from harness.wait import until

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 90


@dataclass
class Subject:
    """A program under measurement. ``port`` is that of its metrics page; 0 where it has none."""

    name: str
    child: Child
    port: int

    @property
    def page(self) -> str:
        """The address of its metrics."""
        return f"http://127.0.0.1:{self.port}/metrics"

    def text(self, timeout: float = 60) -> str:
        """Its metrics now, as text."""
        answer = requests.get(self.page, timeout=timeout)
        answer.raise_for_status()
        return answer.text

    def series(self) -> Series:
        """Its metrics now."""
        return parse(self.text())

    def cpu_seconds(self) -> float:
        """Processor time that the program and its children spent so far, in user and kernel together."""
        return sum(t.user + t.system for p in self._processes() for t in [p.cpu_times()])

    def resident_bytes(self) -> int:
        """Memory that the program and its children hold now."""
        return sum(p.memory_info().rss for p in self._processes())

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.child.pid)
        return [first, *first.children(recursive=True)]

    def until_quiet(self, timeout: float, *, below: float = 0.15) -> float:
        """Wait until the program uses less than ``below`` of a core, two seconds on end; its CPU seconds by then.

        Asking nothing of the program itself, it works alike for all of them.
        """
        looks = deque([self.cpu_seconds()], maxlen=3)

        def rests() -> bool:
            time.sleep(1.0)  # the span over which the use of the processor is looked at
            looks.append(self.cpu_seconds())
            return len(looks) == 3 and looks[1] - looks[0] < below and looks[2] - looks[1] < below

        until(rests, f"{self.name} to have worked through its events", timeout)
        return looks[-1]

    def until_counted(self, events: int, timeout: float) -> None:
        """Wait until the program has counted so many task events, or counts no more (ten looks without a new one)."""
        looks: deque[float] = deque(maxlen=10)

        def complete() -> bool:
            looks.append(sum(self.counted().values()))
            return looks[-1] >= events or (len(looks) == looks.maxlen and looks[0] == looks[-1])

        until(complete, f"{self.name} to count {events:,} events", timeout, interval=1)

    def counted(self) -> dict[str, float]:
        """Task events counted by type, as its metrics say."""
        series = self.series()
        return {
            f"task-{kind}": total(series, f"celery_task_{kind}_total")
            for kind in ("sent", "received", "started", "succeeded")
        }


@contextmanager
def ours(broker: PrivateRedis, folder: Path, options: Sequence[str] = ()) -> Iterator[Subject]:
    """This project's exporter."""
    command = [sys.executable, "-m", "exporter"]
    with _exporter("ours", command, broker, folder, options) as subject:
        yield subject


@contextmanager
def upstream(
    environment: Environment, broker: PrivateRedis, folder: Path, options: Sequence[str] = ()
) -> Iterator[Subject]:
    """The published exporter, in its own environment. It reconnects only when told to."""
    command = [str(environment.python), "-c", "from src.cli import cli; cli()"]
    with _exporter(
        "upstream", command, broker, folder, ["--retry-interval=1", *options], environment=environment
    ) as subject:
        yield subject


@contextmanager
def _exporter(
    name: str,
    command: Sequence[str],
    broker: PrivateRedis,
    folder: Path,
    options: Sequence[str],
    *,
    environment: Environment | None = None,
) -> Iterator[Subject]:
    (port,) = free_ports(1)
    words = [*command, f"--broker-url={broker.url}", "--host=127.0.0.1", f"--port={port}", *options]
    env = environment.environ() if environment else None
    with running(words, log=folder / f"{name}.log", env=env, cwd=ROOT) as child:
        subject = Subject(name, child, port)

        def listens() -> bool:
            if not child.running:
                raise RuntimeError(f"{name} ended at once:\n{child.said()}")
            with broker.client() as client:
                subscribed = client.execute_command("PUBSUB", "NUMPAT") > 0
            return subscribed and bool(subject.text(timeout=10))

        until(listens, f"{name} to listen for events and to serve metrics", START_SECONDS)
        yield subject


class BareLoop(Subject):
    """The yardstick: it has no page, and tells its counts when it ends."""

    def until_counted(self, events: int, timeout: float) -> None:
        """It tells nothing before it ends."""

    def counted(self) -> dict[str, float]:
        self.child.stop()
        lines = self.child.said().splitlines()
        counts: dict[str, float] = {}
        with suppress(IndexError, json.JSONDecodeError):
            counts = json.loads(lines[-1])
        return {name: counts.get(name, 0) for name in ("task-sent", "task-received", "task-started", "task-succeeded")}


@contextmanager
def bare_loop(broker: PrivateRedis, folder: Path) -> Iterator[Subject]:
    """The bare loop."""
    command = [sys.executable, "-m", "tests.bench.exporter.bare_loop", str(broker.port)]
    with running(command, log=folder / "bare-loop.log", cwd=ROOT) as child:
        until(lambda: "subscribed" in child.said() or not child.running, "the bare loop to subscribe", START_SECONDS)
        yield BareLoop("bare loop", child, 0)
