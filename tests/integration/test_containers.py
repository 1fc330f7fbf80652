"""Containers as testcontainers drives them: a second, smaller copy of the stack, hardened, and gone at the end."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest
from testcontainers.compose import DockerCompose

from harness.compose_v2 import compose_command
from harness.paths import ROOT
from harness.remains import insist_on_nothing_left
from harness.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.containers, pytest.mark.timeout(600)]

SERVICES = ["redis", "worker", "celery-exporter", "inbox"]


@pytest.fixture(scope="module")
def second(stack: Stack) -> Iterator[tuple[Stack, DockerCompose]]:
    """A smaller copy, in a project and on ports of its own, started and stopped by testcontainers."""
    copy = Stack.for_tests(stack.kind, services=SERVICES, name="second")
    copy.run.mkdir(parents=True, exist_ok=True)
    settings = copy.run / "compose.env"
    settings.write_text("".join(f"{name}={value}\n" for name, value in copy.plan.overrides.items()))
    compose = DockerCompose(
        str(ROOT),
        compose_file_name="compose.yaml",
        env_file=[str(ROOT / ".env"), str(settings)],
        services=SERVICES,
        docker_command_path=compose_command()[0],
        pull=False,
        wait=True,
    )
    try:
        with compose:
            yield copy, compose
    finally:
        copy.down(volumes=True)
    insist_on_nothing_left(copy)


def test_every_service_is_healthy_beside_the_first_stack(second: tuple[Stack, DockerCompose], stack: Stack) -> None:
    copy, compose = second
    states = {container.Service: container.Health for container in compose.get_containers()}
    assert states == dict.fromkeys(SERVICES, "healthy")
    assert copy.project != stack.project
    first = {replica.ref for name in stack.services for replica in stack.way.replicas(name)}
    assert not first & {container.ID for container in compose.get_containers()}


def test_ports_are_published_on_loopback_alone(second: tuple[Stack, DockerCompose]) -> None:
    copy, compose = second
    for service in ("redis", "celery-exporter", "inbox"):
        port = copy.plan.model.services[service].port().container
        assert compose.get_service_host(service, port) == "127.0.0.1"
    publishers = [p for container in compose.get_containers() for p in container.Publishers or []]
    assert {p.URL for p in publishers if p.PublishedPort} == {"127.0.0.1"}


def test_a_container_runs_without_privileges(second: tuple[Stack, DockerCompose]) -> None:
    _, compose = second
    for service in SERVICES:
        status, _, _ = compose.exec_in_container(["cat", "/proc/self/status"], service_name=service)
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        assert int(lines["CapEff"], 16) == 0, service
        assert lines["NoNewPrivs"].strip() == "1", service
        assert "0" not in lines["Uid"].split(), service


def test_a_container_has_limits_and_a_read_only_root(second: tuple[Stack, DockerCompose]) -> None:
    _, compose = second
    ids = [container.ID for container in compose.get_containers() if container.ID]
    done = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True, timeout=60)
    for container in json.loads(done.stdout):
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"], container["Name"]
        assert host["Memory"] > 0, container["Name"]
        assert host["NanoCpus"] > 0, container["Name"]
        assert not host["Privileged"], container["Name"]
