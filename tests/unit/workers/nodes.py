"""Worker nodes, beats and gateways as processes of their own, and what they say of themselves."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from harness.child import Child, start
from harness.ports import free_ports
from harness.wait import Pending, until

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
START_SECONDS = 90
#: The script and not ``-m celery``: a worker started that way cannot restart itself on SIGHUP.
CELERY = str(Path(sys.executable).with_name("celery"))


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page; OSError while nobody listens."""
    answer = requests.get(f"http://127.0.0.1:{port}{path}", timeout=20)
    return answer.status_code, answer.text


@dataclass
class Process:
    """A running program with a port of its own."""

    child: Child
    port: int

    def page(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a page."""
        status, text = get(self.port, path)
        return status, json.loads(text)

    def value(self, name: str, **labels: str) -> float:
        """Sum of a series' samples that carry ``labels``; 0 where there is none."""
        return sum(value for found, value in self.samples(name) if labels.items() <= found.items())

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every sample of a series."""
        _, text = get(self.port, "/metrics")
        families = text_string_to_metric_families(text)
        return [(s.labels, s.value) for family in families for s in family.samples if s.name == name]

    def wait_ready(self, path: str = "/readyz") -> None:
        """Wait until the page answers 200."""

        def ready() -> bool | Pending:
            assert self.child.running, f"it ended: {self.child.said(40)}"
            status, text = get(self.port, path)
            return status == 200 or Pending(text)

        until(ready, f"{path} of {self.child.log.name}", START_SECONDS, unready=(OSError,))

    def lines(self) -> list[dict[str, Any]]:
        """The log's lines that are JSON."""
        found = []
        for line in self.child.log.read_text(errors="replace").splitlines():
            if re.match(r"^\{.*\}$", line):
                found.append(json.loads(line))
        return found


def call(web: Process, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a GET, or of a POST where there is a body; bytes are sent as they are."""
    url = f"http://127.0.0.1:{web.port}{path}"
    if body is None:
        answer = requests.get(url, timeout=30)
    elif isinstance(body, bytes):
        answer = requests.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=30)
    else:
        answer = requests.post(url, json=body, timeout=30)
    return answer.status_code, answer.json()


def environment(**more: str) -> dict[str, str]:
    """The environment of a process under test: ours, without what would change its behaviour."""
    drop = ("OTEL_", "METRICS_", "PROMETHEUS_MULTIPROC", "LOG_FORMAT", "BROKER_", "RESULT_", "CELERY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    return {**kept, "PYTHONPATH": f"{HERE}{os.pathsep}{ROOT}", **more}


def broker(redis: Any) -> dict[str, str]:
    """Settings that point at a private Redis."""
    return {"BROKER_URL": redis.url, "RESULT_BACKEND_URL": redis.url.removesuffix("/0") + "/1"}


@contextmanager
def process(command: list[str], folder: Path, name: str, env: dict[str, str], port: int) -> Iterator[Process]:
    """Run a program for the time of a block."""
    folder.mkdir(parents=True, exist_ok=True)
    child = start([sys.executable, *command], log=folder / f"{name}.log", env=env, cwd=folder)
    try:
        yield Process(child, port)
    finally:
        child.stop(timeout=30)


@contextmanager
def worker(
    redis: Any, folder: Path, *arguments: str, app: str = "shop", name: str = "node", wait: bool = True, **env: str
) -> Iterator[Process]:
    """A worker node of ``app`` for the time of a block."""
    port = free_ports(1)[0]
    command = [CELERY, "-A", app, "worker", "-n", f"{name}@%h", "--without-mingle", "-l", "info", *arguments]
    settings = environment(**{"METRICS_PORT": str(port), "LOG_FORMAT": "json", **broker(redis), **env})
    with process(command, folder, name, settings, port) as node:
        if wait:
            node.wait_ready()
        yield node


@contextmanager
def beat(redis: Any, folder: Path, *arguments: str, app: str = "shop", **env: str) -> Iterator[Process]:
    """A beat of ``app`` for the time of a block."""
    port = free_ports(1)[0]
    command = [CELERY, "-A", app, "beat", "--pidfile=", "-l", "info", *arguments]
    settings = environment(**{"METRICS_PORT": str(port), "LOG_FORMAT": "json", **broker(redis), **env})
    with process(command, folder, "beat", settings, port) as node:
        node.wait_ready()
        yield node


@contextmanager
def gateway(redis: Any, folder: Path, port: int | None = None, **env: str) -> Iterator[Process]:
    """The order gateway for the time of a block."""
    port = port or free_ports(1)[0]
    own = {"GATEWAY_PORT": str(port), "GATEWAY_DB": str(folder / "gateway.sqlite"), "LOG_FORMAT": "json"}
    settings = environment(**{**own, **broker(redis), **env})
    with process(["-m", "workers.gateway"], folder, "gateway", settings, port) as it:
        it.wait_ready("/healthz")
        yield it
