"""The first and second way: the compose file under Compose v2, over official images or local stand-ins of them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness import ca, container_inside, engine, ports, standins
from harness.compose_v2 import compose_command
from harness.container_state import condition_of
from harness.errors import BadInputError, HarnessError
from harness.wait import DeadlineError, Pending, until
from harness.way import Condition, Plan, Replica

_LOG_LINES = 15
_PULL_SECONDS = 600.0
_ONE_OFF = "com.docker.compose.oneoff"


class Containers:
    """A plan as containers. The engine knows what runs; nothing is kept beside it."""

    def __init__(self, plan: Plan, kind: str) -> None:
        self.kind = kind
        self._plan = plan
        self._compose = [
            *compose_command(progress=plan.say),
            *("--project-name", plan.project, "--project-directory", str(plan.root)),
            *("--file", str(plan.compose_file)),
            *(word for profile in plan.profiles for word in ("--profile", profile)),
        ]
        self._environment = {**os.environ, **plan.overrides}
        self._absent: dict[str, str] | None = None

    @staticmethod
    def official_images(plan: Plan) -> list[str]:
        """The images of the plan that are not built here, and those that its own images start from."""
        images = {service.image: None for service in plan.services.values() if not service.built}
        for dockerfile in sorted((plan.root / "images").glob("*.Dockerfile")):
            images.update(dict.fromkeys(engine.base_images(dockerfile, dict(plan.settings))))
        return list(images)

    # What is there

    def absent(self) -> dict[str, str]:
        if self._absent is None:
            official = {name: service.image for name, service in self._plan.services.items() if not service.built}
            gone = set(standins.missing(official.values()))
            self._absent = {name: f"the engine has no {image}" for name, image in official.items() if image in gone}
        return self._absent

    def replicas(self, service: str) -> list[Replica]:
        found = self._listed(f"label=com.docker.compose.service={service}", f"label={_ONE_OFF}=False")
        return sorted(found, key=lambda replica: replica.number)

    def extras(self) -> list[Replica]:
        return self._listed(f"label={_ONE_OFF}=True")

    def address(self, replica: Replica, port: int) -> str:
        published = self._plan.model.services[replica.service].port(port).published
        if not published or not replica.number:
            raise HarnessError(f"port {port} of {replica.name} is not published on this machine")
        return f"127.0.0.1:{published}"

    def node(self, replica: Replica) -> str:
        return self._docker(["inspect", "-f", "{{.Config.Hostname}}", replica.ref], check=True).stdout.strip()

    def logs(self, replica: Replica, lines: int | None = None) -> str:
        command = ["docker", "logs", "--tail", str(lines or "all"), replica.ref]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return done.stdout.decode(errors="replace").rstrip("\n")

    def condition(self, replica: Replica) -> Condition:
        return self._conditions([replica])[0]

    def _conditions(self, replicas: Sequence[Replica]) -> list[Condition]:
        """How they are, in one question to the engine."""
        done = self._docker(["inspect", "--type", "container", *(replica.ref for replica in replicas)])
        seen = {entry["Id"]: entry for entry in json.loads(done.stdout or "[]")}
        return [condition_of(next((seen[i] for i in seen if i.startswith(r.ref)), None)) for r in replicas]

    def children(self, replica: Replica) -> list[int]:
        done = self.run_in(replica, ["python3", "-c", container_inside.CHILDREN], 30)
        if done.returncode:
            return []
        return [int(pid) for pid in done.stdout.split()]

    def run_in(self, replica: Replica, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        return self._docker(["exec", replica.ref, *command], timeout=timeout, merge=True)

    # Starting

    def prepare(self) -> None:
        running = {
            service for service in self._plan.services if self._listed(f"label=com.docker.compose.service={service}")
        }
        ports.require_free(service for name, service in self._plan.services.items() if name not in running)
        self._absent = {}
        images = self.official_images(self._plan)
        if self.kind == "stand-ins":
            _, refused = standins.build(images, self._plan.say)
            left_out = {image: f"{image} cannot be pulled, and {reason}" for image, reason in refused.items()}
        else:
            left_out = self._pull(images)
        for name, service in self._plan.services.items():
            if not service.built and service.image in left_out:
                self._absent[name] = left_out[service.image]
                self._plan.say(f"{name} is left out: {self._absent[name]}")
        self._build()

    def _pull(self, images: Sequence[str]) -> dict[str, str]:
        """Pull what is missing; returns what cannot be had and only optional services need, with the reasons."""
        needed = {*images} - {s.image for s in self._plan.services.values() if s.profiles}
        left_out: dict[str, str] = {}
        for image in standins.missing(images):
            self._plan.say(f"pulling {image}")
            if refusal := engine.pull(image, _PULL_SECONDS):
                if image in needed:
                    raise HarnessError(f"{image} cannot be pulled: {refusal}; WAY=stand-ins needs no registry")
                left_out[image] = f"{image} cannot be pulled: {refusal}"
        return left_out

    def _build(self) -> None:
        built = [name for name, service in self._plan.services.items() if service.built]
        if not built:
            return
        self._plan.say("building the images of the project's own parts")
        ca.place()
        self._environment = {**ca.index_settings(), **self._environment}
        done = self._run(["build", "--quiet", *built])
        if done.returncode:
            raise HarnessError(f"the images could not be built:\n{_end(done.stdout)}")

    def up(self, timeout: float) -> None:
        names = [name for name in self._plan.services if name not in self.absent()]
        self._plan.say(f"starting {len(names)} services")
        lacking = {other for name in names for other in self._plan.services[name].depends_on} - set(names)
        self._up(names, timeout, *self._scales(), *(["--no-deps"] if lacking else []))

    def start(self, replica: Replica) -> None:
        self._docker(["start", replica.ref], check=True, timeout=60)

    def recreate(self, service: str, timeout: float) -> None:
        self._up([service], timeout, "--force-recreate", "--no-deps")

    def scale(self, service: str, count: int, timeout: float) -> None:
        if count > 1 and any(port.published for port in self._plan.model.services[service].ports):
            raise BadInputError(f"{service} has a port of its own on this machine and runs once, not {count} times")
        self._up([service], timeout, "--no-recreate", "--no-deps", "--scale", f"{service}={count}")

    def run_extra(self, name: str, service: str, command: Sequence[str], environment: Mapping[str, str]) -> Replica:
        full = f"{self._plan.project}-{name}"
        settings = [word for item in environment.items() for word in ("--env", "=".join(item))]
        options = ["--detach", "--no-deps", "--use-aliases", "--name", full, *settings]
        done = self._run(["run", *options, service, *command], 120)
        if done.returncode:
            raise HarnessError(f"{name} cannot be started: {engine.last_line(done.stdout)}")
        return next(extra for extra in self.extras() if extra.name == name)

    # Ending

    def stop(self, replica: Replica) -> None:
        grace = self._plan.model.services[replica.service].stop_grace_period
        self._docker(["unpause", replica.ref])
        self._docker(["stop", "--time", str(int(grace)), replica.ref], check=True, timeout=grace + 60)

    def kill(self, replica: Replica) -> None:
        self._docker(["kill", "--signal", "KILL", replica.ref])
        self._docker(["wait", replica.ref], timeout=60)

    def pause(self, replica: Replica) -> None:
        self._docker(["pause", replica.ref], check=True)

    def resume(self, replica: Replica) -> None:
        self._docker(["unpause", replica.ref], check=True)

    def kill_child(self, replica: Replica, pid: int) -> None:
        done = self.run_in(replica, ["python3", "-c", container_inside.KILL_CHILD, str(pid)], 30)
        if done.returncode:
            raise BadInputError(f"process {pid} of {replica.name}: {engine.last_line(done.stdout)}")

    def remove(self, replica: Replica) -> None:
        self._docker(["unpause", replica.ref])
        self._docker(["stop", replica.ref], timeout=60)
        self._docker(["rm", "--force", "--volumes", replica.ref], timeout=60)

    def down(self, volumes: bool) -> None:
        for replica in self.extras():
            self._docker(["rm", "--force", "--volumes", replica.ref], timeout=60)
        done = self._run(["--profile", "*", "down", "--remove-orphans", *(["--volumes"] if volumes else [])], 180)
        if done.returncode:
            raise HarnessError(f"the containers could not be removed:\n{_end(done.stdout)}")

    # Inside

    def _up(self, names: Sequence[str], timeout: float, *further: str) -> None:
        started = time.monotonic()
        done = self._run(["up", "--detach", "--pull", "never", "--no-build", *further, *names], timeout)
        if done.returncode:
            raise HarnessError(self._failure(done.stdout))
        waiting = [replica for name in names for replica in self.replicas(name)]

        def step() -> bool | Pending:
            for replica, condition in zip(list(waiting), self._conditions(waiting), strict=True):
                if condition.state in ("exited", "restarting"):
                    raise HarnessError(self._failure(done.stdout))
                if condition.healthy:
                    waiting.remove(replica)
                    if not any(other.service == replica.service for other in waiting):
                        seconds = time.monotonic() - started
                        self._plan.say(f"  {replica.service:<16} healthy after {seconds:.1f} s")
            return not waiting or Pending(", ".join(replica.name for replica in waiting))

        try:
            until(step, "every part to be healthy", max(timeout - (time.monotonic() - started), 1), 0.5, unready=())
        except DeadlineError:
            raise HarnessError(f"not healthy after {timeout:g} s: {self._failure(done.stdout)}") from None

    def _scales(self) -> Iterable[str]:
        # What was scaled before keeps its number when the stack is started again.
        for name in self._plan.services:
            if (count := len(self.replicas(name))) > 1:
                yield from ("--scale", f"{name}={count}")

    def _listed(self, *filters: str) -> list[Replica]:
        words = [
            word for one in (f"label=com.docker.compose.project={self._plan.project}", *filters) for word in ("-f", one)
        ]
        done = self._docker(["ps", "-a", *words, "--format", _FIELDS], check=True)
        return [self._replica(line) for line in done.stdout.splitlines()]

    def _replica(self, line: str) -> Replica:
        ref, name, service, number, one_off = line.split("\t")
        if one_off == "True":
            return Replica(service, 0, name.removeprefix(f"{self._plan.project}-"), ref)
        return Replica(service, int(number), f"{service}-{number}", ref)

    def _failure(self, said: str) -> str:
        for name in (name for name in self._plan.services if name not in self.absent()):
            found = self.replicas(name)
            for replica in found:
                condition = self.condition(replica)
                if not condition.healthy:
                    last = self.logs(replica, _LOG_LINES) or "(it wrote nothing)"
                    return f"{replica.name}: {condition.state} {condition.detail}\nthe end of its log:\n{last}"
            if not found:
                return f"{name} was not started:\n{_end(said)}"
        return f"the containers could not be started:\n{_end(said)}"

    def _run(self, command: Sequence[str], timeout: float = 1800) -> subprocess.CompletedProcess[str]:
        return _run([*self._compose, *command], timeout, self._environment, self._plan.root, merge=True)

    def _docker(
        self, command: Sequence[str], *, check: bool = False, timeout: float = 60, merge: bool = False
    ) -> subprocess.CompletedProcess[str]:
        done = _run([self._compose[0], *command], timeout, self._environment, self._plan.root, merge=merge)
        if check and done.returncode:
            raise HarnessError(f"docker {command[0]} failed: {engine.last_line(done.stderr or done.stdout)}")
        return done


_FIELDS = "\t".join(
    [
        "{{.ID}}",
        "{{.Names}}",
        '{{.Label "com.docker.compose.service"}}',
        '{{.Label "com.docker.compose.container-number"}}',
        f'{{{{.Label "{_ONE_OFF}"}}}}',
    ]
)


def _run(
    command: Sequence[str], timeout: float, environment: Mapping[str, str], folder: Path, *, merge: bool
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HarnessError(f"no answer within {timeout:g} s from: {' '.join(command[:6])} ...") from None


def _end(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_LOG_LINES:])
