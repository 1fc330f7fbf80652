"""A Prometheus and an Alertmanager that watch each other, for what they know of PromQL and of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from harness.binaries import find
from harness.child import running
from harness.ports import free_ports
from harness.wait import until

DEADLINE = 120

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]}}
scrape_configs:
  - {{job_name: prometheus, static_configs: [{{targets: ["127.0.0.1:{prometheus}"]}}]}}
  - {{job_name: alertmanager, static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}
"""
RULES = "groups: [{name: one, rules: [{alert: Watchdog, expr: vector(1)}]}]"
ROUTES = "{route: {receiver: none}, receivers: [{name: none}]}"


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped itself and the Alertmanager that it sends to."""
    folder = tmp_path_factory.mktemp("prometheus")
    own, other, _ = ports = free_ports(3)
    files = {
        "prometheus.yml": CONFIG.format(rules=folder / "rules.yml", prometheus=own, alertmanager=other),
        "rules.yml": RULES,
        "alertmanager.yml": ROUTES,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    alertmanager, server = find("alertmanager"), find("prometheus")
    sends = alertmanager.command(
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address=127.0.0.1:{other}",
        "--cluster.listen-address=",
    )
    scrapes = server.command(
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{ports[0]}",
    )
    with running(sends, log=folder / "alertmanager.log"), running(scrapes, log=folder / "prometheus.log"):
        address = f"http://127.0.0.1:{own}"

        def names() -> set[str]:
            answer = requests.get(f"{address}/api/v1/label/__name__/values", timeout=30)
            return set(answer.json()["data"]) if answer.ok else set()

        until(
            lambda: {"alertmanager_alerts", "prometheus_rule_group_last_duration_seconds", "ALERTS"} <= names(),
            "Prometheus to have scraped itself and Alertmanager",
            timeout=DEADLINE,
            unready=(OSError, KeyError, ValueError),
        )
        yield address


@pytest.fixture(scope="session")
def scraped(prometheus: str) -> set[str]:
    """The names of the series that Prometheus and Alertmanager have of themselves."""
    answer = requests.get(f"{prometheus}/api/v1/label/__name__/values", timeout=30)
    return set(answer.json()["data"])


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parents[3]
