"""What every way to run a stack offers, and the small types they share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.compose_model import Model, Service

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is to run: one project with its settings, its services, and the folder that its run may write to."""

    project: str
    root: Path
    compose_file: Path
    settings: Mapping[str, str]
    overrides: Mapping[str, str]
    model: Model
    services: Mapping[str, Service]
    profiles: tuple[str, ...]
    run: Path
    say: Say

    def in_order(self) -> list[list[Service]]:
        """The services in layers: each depends only on those of the layers before it."""
        left, layers = dict(self.services), list[list[Service]]()
        while left:
            layer = [service for service in left.values() if not set(service.depends_on) & set(left)]
            if not layer:  # a circle; Compose refuses it with a better message
                layer = list(left.values())
            layers.append(layer)
            for service in layer:
                del left[service.name]
        return layers


@dataclass(frozen=True)
class Replica:
    """One running copy of a service. `name` is unique in its project; `ref` is the way's own handle of it.

    `number` counts from 1; it is 0 for an extra that a scenario added.
    """

    service: str
    number: int
    name: str
    ref: str


@dataclass(frozen=True)
class Condition:
    """How a replica is. `state`: healthy, unhealthy, starting, paused, exited; `detail` says why it is not healthy."""

    state: str
    detail: str = ""

    @property
    def healthy(self) -> bool:
        return self.state == "healthy"


class Way(Protocol):
    """One way to run a plan: native processes or containers."""

    kind: str

    def prepare(self) -> None:
        """Make what has to be there before anything starts: programs, images, rendered configuration."""

    def up(self, timeout: float) -> None:
        """Start every service of the plan that does not run, and return when all are healthy.

        Raises HarnessError naming the part that is not, why, and its last log lines.
        """

    def down(self, volumes: bool) -> None:
        """End and remove everything of the project, with its data if `volumes`."""

    def absent(self) -> Mapping[str, str]:
        """The services that this way leaves out, each with the reason."""

    def recreate(self, service: str, timeout: float) -> None:
        """Start a service anew with the settings that the plan has now, and return when it is healthy."""

    def replicas(self, service: str) -> list[Replica]:
        """The copies of a service that exist, running or not, without extras."""

    def extras(self) -> list[Replica]:
        """What `run_extra` started and nobody removed."""

    def run_extra(self, name: str, service: str, command: Sequence[str], environment: Mapping[str, str]) -> Replica:
        """One more copy of a service with another command, found by Prometheus under the service's name."""

    def remove(self, replica: Replica) -> None:
        """End an extra, if it runs, and forget it."""

    def scale(self, service: str, count: int, timeout: float) -> None:
        """Run `count` copies, and return when all are healthy."""

    def start(self, replica: Replica) -> None:
        """Start a copy that was stopped or killed."""

    def stop(self, replica: Replica) -> None:
        """SIGTERM, and SIGKILL once the service's grace is over."""

    def kill(self, replica: Replica) -> None:
        """SIGKILL to the copy and all its children at once."""

    def pause(self, replica: Replica) -> None:
        """Freeze it."""

    def resume(self, replica: Replica) -> None:
        """Thaw it."""

    def children(self, replica: Replica) -> list[int]:
        """The ids, inside the copy, of the direct children of its program: of a prefork worker, its pool."""

    def kill_child(self, replica: Replica, pid: int) -> None:
        """SIGKILL to one of these."""

    def logs(self, replica: Replica, lines: int | None = None) -> str:
        """What the copy wrote; with `lines`, the end of it."""

    def address(self, replica: Replica, port: int) -> str:
        """`host:port` at which this machine reaches a container port. Raises HarnessError for one not published."""

    def node(self, replica: Replica) -> str:
        """What `%h` in the copy's command became: the part of a Celery node's name after the @."""

    def condition(self, replica: Replica) -> Condition:
        """Run the health check, or ask for its last result."""

    def run_in(self, replica: Replica, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command where the copy runs, with its environment."""
