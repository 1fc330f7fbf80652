"""Starts workers and load generators, and reads what locust says of a run."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from harness.child import Child, start
from harness.ports import free_ports
from harness.wait import until

ACCEPT, WHOLE = "orders.accept", "order (all steps)"
DEADLINE = 180


@dataclass
class Runs:
    """Programs that end with the test."""

    python: str
    folder: Path
    environment: dict[str, str]
    started: ExitStack

    def run(self, name: str, *words: str, **variables: str) -> Child:
        log = self.folder / f"{name}.log"
        child = start([self.python, "-m", *words], log=log, env={**self.environment, **variables}, cwd=self.folder)
        self.started.callback(child.kill)
        return child

    def worker(self) -> Child:
        """A Celery worker of all queues, once it is ready."""
        queues = "default,emails,payments,reports"
        words = ("celery", "-A", "workers.app", "worker", "-P", "threads", "-c", "4", "-Q", queues, "-n", "load@%h")
        child = self.run("worker", *words, "-l", "INFO")

        def ready() -> bool:
            if not child.running:
                raise RuntimeError(f"the worker ended: {child.said()}")
            return " ready." in child.log.read_text()

        until(ready, "the worker to be ready", timeout=DEADLINE)
        return child

    def headless(self, **variables: str) -> tuple[int, dict[tuple[str, str], tuple[int, int]], str]:
        """A run without web page: its status, (requests, failures) by (step, task), and its log and report."""
        reports = ("--csv", "run", "--html", "run.html", "--json-file", "run")
        child = self.run("load", "loadgen", *reports, LOAD_HEADLESS="1", LOAD_RUN_TIME="5", **variables)
        status = child.process.wait(DEADLINE)
        return status, self.table(), child.log.read_text() + (self.folder / "run.html").read_text()

    def table(self) -> dict[tuple[str, str], tuple[int, int]]:
        return {
            (entry["method"], entry["name"]): (entry["num_requests"], entry["num_failures"])
            for entry in json.loads((self.folder / "run.json").read_text())
        }

    def served(self, name: str, **variables: str) -> tuple[Child, str]:
        """A run with web page, and the page's address."""
        (port,) = free_ports(1)
        child = self.run(name, "loadgen", LOADGEN_PORT=str(port), **variables)
        return child, f"http://127.0.0.1:{port}"


def count(address: str, metric: str, step: str, task: str) -> float:
    """A counter of one step and task; 0 before the first."""
    return series(address).get(f"{metric}{{{step}}}{{{task}}}", 0)


def series(address: str) -> dict[str, float]:
    """The series of a load generator, labels as {step}{task}."""
    answer = requests.get(f"{address}/metrics", timeout=30)
    answer.raise_for_status()
    return {
        sample.name + "".join(f"{{{sample.labels[name]}}}" for name in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
