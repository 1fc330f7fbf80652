"""The third way: the services of the compose file as plain processes on loopback, with no engine and no root.

What a container gives and this does not: limits on memory, CPU and processes, and a read-only root.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import psutil

from harness import native_config, ports, processes, programs
from harness.errors import BadInputError, HarnessError
from harness.native_copy import CopyView, Layout
from harness.native_state import Copy, Store
from harness.wait import DeadlineError, Pending, until
from harness.way import Condition, Plan, Replica

_LOG_LINES = 15
# So many restarts and still not healthy: a program that cannot start, not one that waits for its neighbours.
_RESTARTS = 3


class Native:
    """A plan as plain processes. Everything is in files, so that any later command finds what runs."""

    kind = "native"

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._layout = Layout(plan.run)
        self._store = Store(plan.run)

    # What is there

    def absent(self) -> dict[str, str]:
        services = self._plan.services.items()
        return {name: service.native_absent for name, service in services if service.native_absent}

    def replicas(self, service: str) -> list[Replica]:
        copies = [copy for copy in self._store.read().values() if copy.service == service and copy.number]
        return [_replica(copy) for copy in sorted(copies, key=lambda copy: copy.number)]

    def extras(self) -> list[Replica]:
        return [_replica(copy) for copy in self._store.read().values() if not copy.number]

    def address(self, replica: Replica, port: int) -> str:
        return f"127.0.0.1:{self._copy(replica).ports[port]}"

    def node(self, replica: Replica) -> str:
        return replica.name

    def logs(self, replica: Replica, lines: int | None = None) -> str:
        log = self._layout.log(self._copy(replica))
        written = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        return "\n".join(written[-lines:] if lines else written)

    def condition(self, replica: Replica) -> Condition:
        return self._condition(self._view(self._copy(replica)))

    def children(self, replica: Replica) -> list[int]:
        program = self._program(self._copy(replica))
        return [child.pid for child in processes.children(program)] if program else []

    def run_in(self, replica: Replica, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        return self._view(self._copy(replica)).run(command, timeout)

    # Starting

    def prepare(self) -> None:
        for service in self._plan.services.values():
            if service.native_absent:
                self._plan.say(f"{service.name} is left out: {service.native_absent}")
            elif words := [*service.native_program, *service.command]:
                programs.resolve(words[:1])
            else:
                raise BadInputError(
                    f"service {service.name} has no command: give it x-native.program in the compose file"
                )

    def up(self, timeout: float) -> None:
        self._claim()
        self._bring(self._plan.services, timeout)

    def _bring(self, names: Iterable[str], timeout: float) -> None:
        """Start what of these services does not run, each once those that it depends on are healthy."""
        left = {name: self._plan.services[name] for name in names if not self._plan.services[name].native_absent}
        awaited = set(left)
        waiting: dict[str, Copy] = {}
        healthy: set[str] = set()
        started = time.monotonic()
        reasons: dict[str, str] = {}

        def step() -> bool | Pending:
            for name, service in list(left.items()):
                if all(other in healthy or other not in awaited for other in service.depends_on):
                    del left[name]
                    for copy in self._copies(name):
                        if not copy.running:
                            self._spawn(copy)
                        waiting[copy.name] = copy
            for copy, condition in self._look(list(waiting.values())):
                if condition.state in ("exited", "restarting"):
                    raise HarnessError(self._failure(copy, condition.detail))
                reasons[copy.name] = condition.detail
                if condition.healthy:
                    del waiting[copy.name]
                    if not any(other.service == copy.service for other in waiting.values()):
                        healthy.add(copy.service)
                        self._plan.say(f"  {copy.service:<16} healthy after {time.monotonic() - started:.1f} s")
            return (not left and not waiting) or Pending(", ".join([*waiting, *left]))

        try:
            until(step, "every part to be healthy", timeout, 0.2, unready=())
        except DeadlineError:
            copy = next(iter(waiting.values()))
            reason = f"not healthy after {timeout:g} s: {reasons.get(copy.name, 'not started')}"
            raise HarnessError(self._failure(copy, reason)) from None

    def start(self, replica: Replica) -> None:
        copy = self._copy(replica)
        if not copy.running:
            self._spawn(copy)

    def recreate(self, service: str, timeout: float) -> None:
        for replica in self.replicas(service):
            self.stop(replica)
        self._bring([service], timeout)

    def scale(self, service: str, count: int, timeout: float) -> None:
        if count > 1 and any(port.published for port in self._plan.model.services[service].ports):
            raise BadInputError(f"{service} has a port of its own on this machine and runs once, not {count} times")
        for replica in self.replicas(service)[count:]:
            self.remove(replica)
        numbers = {replica.number for replica in self.replicas(service)}
        with self._store.changing() as copies:
            for number in range(1, count + 1):
                if number not in numbers:
                    copy = Copy(service, number, f"{service}-{number}", self._ports(service, copies))
                    copies[copy.name] = copy
        self._bring([service], timeout)

    def run_extra(self, name: str, service: str, command: Sequence[str], environment: Mapping[str, str]) -> Replica:
        with self._store.changing() as copies:
            if name in copies:
                raise BadInputError(f"{name} exists already; give the extra {service} another name")
            copy = Copy(service, 0, name, self._ports(service, copies, free=True), None, False, list(command))
            copy.environment = dict(environment)
            copies[name] = copy
        self._spawn(copy)
        return _replica(copy)

    # Ending

    def stop(self, replica: Replica) -> None:
        copy = self._copy(replica)
        if copy.identity:
            if copy.paused:
                self.resume(replica)
            copy.identity.stop(self._plan.model.services[copy.service].stop_grace_period)
            self._write_targets(copy.service)

    def kill(self, replica: Replica) -> None:
        copy = self._copy(replica)
        if copy.identity:
            copy.identity.kill()
            self._write_targets(copy.service)

    def pause(self, replica: Replica) -> None:
        self._freeze(replica, paused=True)

    def resume(self, replica: Replica) -> None:
        self._freeze(replica, paused=False)

    def kill_child(self, replica: Replica, pid: int) -> None:
        if pid not in self.children(replica):
            raise BadInputError(f"process {pid} is no child of {replica.name}")
        psutil.Process(pid).send_signal(signal.SIGKILL)

    def remove(self, replica: Replica) -> None:
        copy = self._copy(replica)
        self.stop(replica)
        with self._store.changing() as copies:
            copies.pop(copy.name, None)
        self._write_targets(copy.service)
        shutil.rmtree(self._layout.tmp / copy.name, ignore_errors=True)

    def down(self, volumes: bool) -> None:
        copies = self._store.read()
        order = [service.name for layer in self._plan.in_order() for service in layer]
        with ThreadPoolExecutor(max_workers=16) as pool:
            for layer in reversed(self._plan.in_order()):
                names = {service.name for service in layer}
                ending = [c for c in copies.values() if c.service in names or c.service not in order]
                list(pool.map(lambda copy: self.stop(_replica(copy)), ending))
        with self._store.changing() as left:
            left.clear()
        keep = set() if volumes else {self._layout.volumes, self._layout.logs}
        for path in self._plan.run.iterdir() if self._plan.run.is_dir() else ():
            if path in keep:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    # Inside

    def _copy(self, replica: Replica) -> Copy:
        try:
            return self._store.read()[replica.name]
        except KeyError:
            raise HarnessError(f"{replica.name} does not run in {self._plan.project}") from None

    def _copies(self, service: str) -> list[Copy]:
        return [copy for copy in self._store.read().values() if copy.service == service and copy.number]

    def _claim(self) -> None:
        """Give every service a copy, and every copy its ports. Raises BadInputError for a port that is taken."""
        with self._store.changing() as copies:
            here = {copy.service for copy in copies.values() if copy.running and copy.number}
            ports.require_free(
                service
                for name, service in self._plan.services.items()
                if name not in here and not service.native_absent
            )
            for name, service in self._plan.services.items():
                if not service.native_absent and not any(c.service == name and c.number for c in copies.values()):
                    copies[f"{name}-1"] = Copy(name, 1, f"{name}-1", self._ports(name, copies))

    def _ports(self, service: str, copies: Mapping[str, Copy], free: bool = False) -> dict[int, int]:
        """Ports for a copy: the published ones, and a free one for each that only neighbours see."""
        all_ports = self._plan.model.services[service].ports
        found = {port.container: 0 if free else port.published or 0 for port in all_ports}
        taken = [port for copy in copies.values() for port in copy.ports.values()]
        spare = iter(ports.free_ports(sum(not here for here in found.values()), taken))
        return {container: here or next(spare) for container, here in found.items()}

    def _program(self, copy: Copy) -> psutil.Process | None:
        """The copy's own process, below its supervisor if it has one."""
        leader = copy.identity.process() if copy.identity else None
        if leader is None or not self._view(copy).supervised:
            return leader
        return next(iter(processes.children(leader)), None)

    def _view(self, copy: Copy) -> CopyView:
        firsts = {other.service: other.ports for other in self._store.read().values() if other.number == 1}
        return CopyView(self._plan, self._layout, copy, firsts)

    def _spawn(self, copy: Copy) -> None:
        if copy.identity:  # it ended by itself and may have left children
            copy.identity.kill()
        view = self._view(copy)
        view.make_folders()
        self._layout.logs.mkdir(parents=True, exist_ok=True)
        try:
            identity = processes.spawn(
                view.command(),
                env=view.environment(),
                cwd=view.home,
                log=self._layout.log(copy),
                token=f"{self._plan.project}/{copy.name}/{secrets.token_hex(8)}",
            )
        except OSError as error:
            raise HarnessError(f"{copy.name} cannot be started: {error}") from None
        copy.identity, copy.paused = identity, False
        self._save(copy)
        self._write_targets(copy.service)

    def _save(self, copy: Copy) -> None:
        with self._store.changing() as copies:
            copies[copy.name] = copy

    def _freeze(self, replica: Replica, *, paused: bool) -> None:
        copy = self._copy(replica)
        if copy.identity:
            copy.identity.signal_all(signal.SIGSTOP if paused else signal.SIGCONT)
        copy.paused = paused
        self._save(copy)

    def _look(self, copies: list[Copy]) -> list[tuple[Copy, Condition]]:
        if not copies:
            return []
        with ThreadPoolExecutor(max_workers=4) as pool:
            return list(zip(copies, pool.map(lambda copy: self._condition(self._view(copy)), copies), strict=True))

    @staticmethod
    def _condition(view: CopyView) -> Condition:
        copy = view.copy
        if not copy.running:
            status = copy.identity.exit_status() if copy.identity else None
            return Condition("exited", "it has ended" if status is None else f"it ended with status {status}")
        if copy.paused:
            return Condition("paused")
        said = view.check()
        restarts, status = view.restarts() if said else (0, 0)
        if restarts >= _RESTARTS:
            return Condition("restarting", f"it ended with status {status} {restarts} times")
        return Condition("unhealthy", said) if said else Condition("healthy")

    def _failure(self, copy: Copy, reason: str) -> str:
        last = self.logs(_replica(copy), _LOG_LINES)
        return f"{copy.name}: {reason}\nthe end of {self._layout.log(copy)}:\n{last or '(it wrote nothing)'}"

    def _write_targets(self, service: str) -> None:
        # As with containers: a name leads to the copies that run (also to a paused one), and to no other.
        # Read and written in one go: of two that start at once, the later to write must know of both.
        with native_config.writing(self._layout.targets):
            copies = [copy for copy in self._store.read().values() if copy.service == service and copy.running]
            native_config.write_targets(self._layout.targets, service, [copy.ports for copy in copies])


def _replica(copy: Copy) -> Replica:
    return Replica(copy.service, copy.number, copy.name, copy.name)
