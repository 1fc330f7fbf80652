"""A running copy of the stack: started, watched, broken and ended in the same words, whatever way it runs.

    stack = Stack.for_tests("native", factor=15)     # own name, free ports, the test clock
    stack.start()
    stack.address("prometheus")                      # http://127.0.0.1:23817
    with stack.start_worker("w1", ["scenario-1"]) as worker:
        worker.kill()
    stack.down(volumes=True)

Parts are named as in compose.yaml. Where `replica` is not given, all copies of the service are meant.
"""

from __future__ import annotations

import os
import secrets as randomness
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from harness import compose_model, ports, secrets, settings, ways
from harness.errors import BadInputError, HarnessError
from harness.paths import ROOT, SECRETS, run_dir
from harness.rendering import render
from harness.saved import Saved
from harness.wait import Pending, until
from harness.way import Condition, Plan, Replica, Say, Way
from harness.worker_handle import WorkerHandle, kill_child, worker_command

START_SECONDS = 180.0
#: What the exporter reads on its own beat, in seconds; the test clock divides it.
_BEATS = {"EXPORTER_QUEUE_INTERVAL": 5.0, "EXPORTER_INSPECT_INTERVAL": 30.0}
_SHORTEST_BEAT = 0.25


def _silent(_: str) -> None:
    return None


class Stack:
    """One project: the services of a compose file under a name of their own.

    `way`: native, stand-ins or images; empty chooses what this machine can do. `overrides`: settings that win over
    the environment and `.env`. `services`: only these, without what they depend on. `factor`: the test clock.
    `rules`: further rule files of this run alone, by name and at production durations: a test's own objectives, say.
    One with the name of a shipped file takes its place.
    Nothing starts before `start`. Raises BadInputError for a setting that cannot be.
    """

    def __init__(
        self,
        way: str = "",
        *,
        project: str = "",
        overrides: Mapping[str, str] | None = None,
        profiles: Iterable[str] = (),
        services: Iterable[str] = (),
        factor: int = 1,
        rules: Mapping[str, str] | None = None,
        root: Path = ROOT,
        compose_file: str = "compose.yaml",
        say: Say = _silent,
    ) -> None:
        variables = settings.load(root, overrides)
        self.project = project or variables.get("COMPOSE_PROJECT_NAME") or "celery-stack"
        ways.require_name(self.project)
        self.factor = factor
        self._rules = dict(rules or {})
        self._only = tuple(services)
        self._say = say
        self._choice = way
        self._way: Way | None = None
        self.run = run_dir(self.project)
        # What the caller's shell says now holds for later commands too, whatever their shell says.
        said = compose_model.variables_of(root / compose_file) & set(os.environ)
        changed = {name: os.environ[name] for name in said} | dict(overrides or {})
        changed["COMPOSE_PROJECT_NAME"] = self.project
        changed |= {"PROMETHEUS_CONFIG": str(self.run / "rendered/prometheus")}
        changed |= {"ALERTMANAGER_CONFIG": str(self.run / "rendered/alertmanager")}
        variables |= changed
        model = compose_model.read(root / compose_file, variables)
        self.plan = Plan(
            project=self.project,
            root=root,
            compose_file=root / compose_file,
            settings=variables,
            overrides=changed,
            model=model,
            services=model.select(profiles, self._only),
            profiles=tuple(profiles),
            run=self.run,
            say=say,
        )

    @classmethod
    def for_tests(
        cls,
        way: str,
        *,
        factor: int = 15,
        overrides: Mapping[str, str] | None = None,
        profiles: Iterable[str] = (),
        services: Iterable[str] = (),
        rules: Mapping[str, str] | None = None,
        name: str = "test",
        say: Say = _silent,
    ) -> Stack:
        """A stack that is nobody else's: a random project name, free ports, every duration divided by `factor`."""
        variables = compose_model.read(ROOT / "compose.yaml", settings.load())
        places = ports.published(variables.services)
        changed = dict(zip(places, map(str, ports.free_ports(len(places))), strict=True))
        changed |= {beat: f"{max(seconds / factor, _SHORTEST_BEAT):g}" for beat, seconds in _BEATS.items()}
        changed |= {"HEALTH_INTERVAL": "1s", **(overrides or {})}
        project = f"celery-{name}-{randomness.token_hex(4)}"
        return cls(
            way,
            project=project,
            overrides=changed,
            profiles=profiles,
            services=services,
            factor=factor,
            rules=rules,
            say=say,
        )

    @classmethod
    def attach(cls, project: str = "", say: Say = _silent) -> Stack | None:
        """The stack of this name as it was last started from this checkout; None where there is none."""
        name = project or settings.load().get("COMPOSE_PROJECT_NAME") or "celery-stack"
        saved = Saved.read(run_dir(name))
        if saved is None:
            return None
        return cls(
            saved.way,
            project=name,
            overrides=saved.overrides,
            profiles=saved.profiles,
            services=saved.services,
            factor=saved.factor,
            rules=saved.rules,
            say=say,
        )

    @property
    def way(self) -> Way:
        """How it runs; chosen on first use."""
        if self._way is None:
            self._way, reason = ways.choose(self.plan, self._choice)
            self._say(reason)
        return self._way

    @property
    def kind(self) -> str:
        """native, stand-ins or images."""
        return self.way.kind

    @property
    def services(self) -> list[str]:
        """The names of the services that run, in the order of the compose file; without what this way leaves out."""
        return [name for name in self.plan.services if name not in self.way.absent()]

    # The whole

    def start(self, timeout: float = START_SECONDS) -> None:
        """Start everything and return when every part is healthy. Starting what runs already changes nothing.

        Raises BadInputError for a port that is taken, HarnessError for a part that does not become healthy; then
        whatever did start still runs, to be looked at: `down` ends it.
        """
        way = self.way
        secrets_folder = Path(self.plan.settings.get("SECRETS_DIR") or SECRETS)
        secrets.ensure(secrets_folder)
        render(self.plan, self.factor, secrets_folder, self._rules)
        way.prepare()
        self._take_settings()
        self._save()
        self.way.up(timeout)

    def change(self, service: str, overrides: Mapping[str, str], timeout: float = START_SECONDS) -> None:
        """Start one service anew with other settings; they hold until the stack is started again."""
        changed = self._with(overrides)
        changed._save()
        changed.way.recreate(service, timeout)
        self.plan, self._way = changed.plan, changed.way

    def _with(self, overrides: Mapping[str, str]) -> Stack:
        """The same stack with other settings."""
        return Stack(
            self.kind,
            project=self.project,
            overrides={**self.plan.overrides, **overrides},
            profiles=self.plan.profiles,
            services=self._only,
            factor=self.factor,
            rules=self._rules,
            root=self.plan.root,
            compose_file=self.plan.compose_file.name,
        )

    def _take_settings(self) -> None:
        """Take over the settings that go with services which are there, where nobody gave others."""
        given: dict[str, str] = {}
        for name in self.services:
            for setting, value in self.plan.services[name].sets.items():
                if not self.plan.settings.get(setting, "").strip():
                    given[setting] = value
                    self._say(f"{name} is there: {setting}={value}")
        if given:
            self.plan = replace(self._with(given).plan, say=self._say)
            self._way, _ = ways.choose(self.plan, self.kind)

    def _save(self) -> None:
        plan = self.plan
        Saved(self.kind, dict(plan.overrides), list(plan.profiles), list(self._only), self.factor, self._rules).write(
            self.run
        )

    def down(self, volumes: bool = False) -> None:
        """End and remove everything, with the data if `volumes`. Nothing of the project runs afterwards."""
        self.way.down(volumes)
        Saved.remove(self.run, everything=volumes)

    # Where things are

    def address(self, service: str, port: int | None = None, replica: int = 1) -> str:
        """The URL of a service, without a path: of its first port, or the one with this number inside it."""
        container = self.plan.model.services[service].port(port).container
        return f"http://{self.way.address(self._one(service, replica), container)}"

    def broker_url(self, database: int = 0) -> str:
        """The URL of Redis from here, with its password: never to be printed."""
        folder = Path(self.plan.settings.get("SECRETS_DIR") or SECRETS)
        place = self.way.address(self._one("redis", 1), self.plan.model.services["redis"].port().container)
        return f"redis://:{quote(secrets.read('redis_password', folder), safe='')}@{place}/{database}"

    def logs(self, service: str, replica: int | None = None, lines: int | None = None) -> str:
        """What a service wrote, each copy's after the other; with `lines`, the end of each."""
        return "\n".join(self.way.logs(copy, lines) for copy in self._some(service, replica))

    def status(self) -> list[tuple[Replica, Condition]]:
        """Every copy and extra that exists, and how it is."""
        copies = [copy for name in self.services for copy in self.way.replicas(name)]
        return [(copy, self.way.condition(copy)) for copy in [*copies, *self.way.extras()]]

    # Breaking and mending

    def stop(self, service: str, replica: int | None = None) -> None:
        """End in good order: SIGTERM, and SIGKILL once the service's grace is over."""
        self._each(self.way.stop, service, replica)

    def kill(self, service: str, replica: int | None = None) -> None:
        """SIGKILL to everything in it at once. It stays dead until `start_service`."""
        self._each(self.way.kill, service, replica)

    def pause(self, service: str, replica: int | None = None) -> None:
        """Freeze: its connections stay open and nothing answers."""
        self._each(self.way.pause, service, replica)

    def resume(self, service: str, replica: int | None = None) -> None:
        """Thaw what was paused."""
        self._each(self.way.resume, service, replica)

    def start_service(self, service: str, replica: int | None = None, timeout: float = START_SECONDS) -> None:
        """Start what was stopped or killed, and return when it is healthy."""
        self._each(self.way.start, service, replica)
        self.wait_healthy(service, timeout)

    def restart(self, service: str, replica: int | None = None, timeout: float = START_SECONDS) -> None:
        """Stop, start, and return when it is healthy."""
        self.stop(service, replica)
        self.start_service(service, replica, timeout)

    def scale(self, service: str, count: int, timeout: float = START_SECONDS) -> None:
        """Run `count` copies of a service without a port on this machine, and return when all are healthy."""
        self.way.scale(service, count, timeout)

    def wait_healthy(self, service: str, timeout: float = START_SECONDS) -> None:
        """Return when every copy of a service is healthy. Raises DeadlineError saying how they are."""

        def check() -> bool | Pending:
            seen = [(copy.name, self.way.condition(copy)) for copy in self.way.replicas(service)]
            bad = [
                f"{name} is {condition.state} ({condition.detail})" for name, condition in seen if not condition.healthy
            ]
            return (bool(seen) and not bad) or Pending("; ".join(bad) or "no copy exists")

        until(check, f"{service} to be healthy", timeout)

    def replicas(self, service: str) -> list[int]:
        """The numbers of a service's copies, running or not."""
        return [copy.number for copy in self.way.replicas(service)]

    def is_healthy(self, service: str) -> bool:
        """Whether every copy of a service passes its health check now."""
        copies = self.way.replicas(service)
        return bool(copies) and all(self.way.condition(copy).healthy for copy in copies)

    def children(self, service: str, replica: int = 1) -> list[int]:
        """The process ids, inside the copy, of its program's direct children: of a prefork worker, its pool."""
        return self.way.children(self._one(service, replica))

    def kill_child(self, service: str, replica: int = 1, index: int = 0) -> int:
        """SIGKILL to the pool child at this place, the oldest first; returns its id."""
        return kill_child(self.way, self._one(service, replica), index)

    def exec(
        self, service: str, command: Sequence[str], replica: int = 1, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where the service runs; its output is in `stdout`."""
        return self.way.run_in(self._one(service, replica), command, timeout)

    def start_worker(
        self,
        name: str,
        queues: Iterable[str],
        *,
        pool: str = "prefork",
        concurrency: int = 2,
        env: Mapping[str, str] | None = None,
        command_extra: Sequence[str] = (),
        wait: bool = True,
    ) -> WorkerHandle:
        """One more worker for a scenario, scraped as the service `worker` is. Its Celery node is `name@<host>`.

        Returns when it is healthy, unless `wait` is false. `name` must be new in this stack.
        """
        command = worker_command(self.plan.model.services["worker"].command, name, queues, pool, concurrency)
        copy = self.way.run_extra(name, "worker", [*command, *command_extra], env or {})
        handle = WorkerHandle(self.way, copy, name, self.broker_url)
        if wait:
            try:
                handle.wait_ready()
            except BaseException:
                handle.remove()
                raise
        return handle

    def workers(self) -> list[WorkerHandle]:
        """The workers that `start_worker` added and nobody removed."""
        return [WorkerHandle(self.way, copy, copy.name, self.broker_url) for copy in self.way.extras()]

    def _one(self, service: str, number: int) -> Replica:
        return self._some(service, number)[0]

    def _some(self, service: str, number: int | None) -> list[Replica]:
        if service not in self.plan.model.services:
            raise BadInputError(
                f"service {service!r} is unknown; the services are {', '.join(self.plan.model.services)}"
            )
        found = [copy for copy in self.way.replicas(service) if number in (None, copy.number)]
        if not found:
            raise HarnessError(f"{service}{'' if number is None else f' {number}'} does not run in {self.project}")
        return found

    def _each(self, operation: Callable[[Replica], None], service: str, number: int | None) -> None:
        for copy in self._some(service, number):
            operation(copy)


__all__ = ["Stack", "WorkerHandle"]
