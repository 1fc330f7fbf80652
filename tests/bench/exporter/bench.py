"""What every measurement is handed, and what it hands back."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.child import Child, running, start
from harness.environments import Environment
from harness.private_redis import PrivateRedis, private_redis
from tests.bench.exporter import subjects
from tests.bench.exporter.subjects import ROOT, Subject

UNLIMITED = {"client-output-buffer-limit": "pubsub 0 0 0"}


@dataclass(frozen=True)
class Row:
    """One figure. ``wanted`` says what it must be, ``met`` whether it is (None: it is only told)."""

    measurement: str
    subject: str
    what: str
    value: str
    wanted: str = ""
    met: bool | None = None

    def as_dict(self) -> dict[str, object]:
        """For the file of results."""
        return asdict(self)


@dataclass
class Bench:
    """The folder to work in, whether to measure in small only, and who is measured."""

    folder: Path
    quick: bool
    environment: Environment | None  # the published exporter's; None where it is left out or cannot be had
    only: frozenset[str] = frozenset({"bare loop", "ours", "upstream"})
    _begun: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - self._begun:6.1f} s] {text}", file=sys.stderr, flush=True)

    def some(self, full: int, quick: int) -> int:
        """One of two sizes."""
        return quick if self.quick else full

    def exporters(self) -> list[str]:
        """The exporters to measure, by name."""
        return [name for name in ("ours", "upstream") if self._measured(name)]

    def readers(self) -> list[str]:
        """All programs to measure, by name."""
        return [name for name in ("bare loop", "ours", "upstream") if self._measured(name)]

    def _measured(self, name: str) -> bool:
        return name in self.only and (name != "upstream" or self.environment is not None)

    def redis(self, **settings: str) -> AbstractContextManager[PrivateRedis]:
        """A Redis of the measurement's own; underscores in names stand for hyphens."""
        return private_redis(self.folder / "redis", {name.replace("_", "-"): value for name, value in settings.items()})

    def start(self, name: str, broker: PrivateRedis, options: Sequence[str] = ()) -> AbstractContextManager[Subject]:
        """A program to measure, listening to ``broker`` when the block begins."""
        if name == "bare loop":
            return subjects.bare_loop(broker, self.folder)
        if name == "ours":
            return subjects.ours(broker, self.folder, options)
        if self.environment is None:
            raise ValueError("the published exporter is not installed")
        return subjects.upstream(self.environment, broker, self.folder, options)

    def publish(self, broker: PrivateRedis, events: int, timeout: float, *options: str) -> dict[str, int]:
        """Publish events and wait until Redis has taken them all; how many of each type they were."""
        log = self.folder / "publisher.log"
        log.unlink(missing_ok=True)
        child = start(self._publisher(broker, events, options), log=log, cwd=ROOT)
        try:
            status = child.process.wait(timeout)
        finally:
            child.kill()
        if status:
            raise RuntimeError(f"the publisher failed:\n{child.said()}")
        counts: dict[str, int] = json.loads(child.said(1))["counts"]
        return counts

    @contextmanager
    def publishing(self, broker: PrivateRedis, events: int, *options: str) -> Iterator[Child]:
        """Publish events for the time of a block."""
        with running(self._publisher(broker, events, options), log=self.folder / "publisher.log", cwd=ROOT) as child:
            yield child

    def _publisher(self, broker: PrivateRedis, events: int, options: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "tests.bench.exporter.publisher", str(broker.port), str(events), *options]
