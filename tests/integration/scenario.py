"""What a scenario is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.producer import TASK


@dataclass(frozen=True)
class Crew:
    """The worker of a scenario. Threads where no process has to die: one process is started sooner than three."""

    pool: str = "threads"
    concurrency: int = 2
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Feed:
    """What a scenario's producer sends all the time."""

    per_second: float = 2.0
    #: Taken in turn: name and arguments, an order where these are left out.
    tasks: tuple[tuple[str, tuple[Any, ...] | None], ...] = ((TASK, None),)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One incident. In `params` and `labels`, {queue} is the scenario's queue and {worker}, {node} its worker."""

    name: str
    sentence: str
    fault: str
    alert: str
    severity: str
    labels: dict[str, str]
    #: From the fault's start to the page, in production.
    production_minutes: float
    params: dict[str, Any] = field(default_factory=dict)
    crew: Crew | None = Crew()
    feed: Feed | None = Feed()
    #: Alerts that the same fault raises besides, none of them critical: name -> labels.
    also: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Alerts that fire too and are held back, because the page explains them: name -> labels.
    inhibited: dict[str, dict[str, str]] = field(default_factory=dict)
    #: Alerts that a worse rule set would raise for this fault, and that must not arrive for this queue or worker.
    silent: tuple[str, ...] = ()
    #: The scenario that has to be over before, because both raise the same alert.
    after: str = ""
    #: What Prometheus must have seen before the fault, at production durations.
    baseline: str = ""
    #: Disturbs the whole stack, so it runs alone.
    alone: bool = False
    #: Seconds on the test clock; several times what is usual.
    within: float = 120.0
    clears_within: float = 180.0

    @property
    def queue(self) -> str:
        """The queue that nobody else uses."""
        return f"trial-{self.name}"

    @property
    def worker(self) -> str:
        """The name of its worker."""
        return f"crew-{self.name}"
