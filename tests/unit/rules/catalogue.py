"""The rules, runbooks and promtool tests of the project, read once for the tests beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
RULES = ROOT / "prometheus/rules"
RULE_TESTS = ROOT / "prometheus/tests"
RUNBOOKS = ROOT / "docs/runbooks"
ALERTMANAGER = ROOT / "alertmanager/alertmanager.yml"

#: What a user's own component label may be.
COMPONENTS = frozenset({"queue", "task", "worker", "schedule", "broker", "exporter", "pipeline", "application"})
SEVERITIES = frozenset({"critical", "warning", "info"})


@dataclass(frozen=True)
class Alert:
    """One alerting rule and the file that it is in."""

    name: str
    file: str
    rule: dict[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        return self.rule["labels"]

    @property
    def annotations(self) -> dict[str, str]:
        return self.rule["annotations"]


def rules(pattern: str = "*.yml") -> list[tuple[str, dict[str, Any]]]:
    """Every rule of the files that match, with its file's name."""
    return [
        (path.name, rule)
        for path in sorted(RULES.glob(pattern))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


@cache
def alerts() -> dict[str, Alert]:
    return {rule["alert"]: Alert(rule["alert"], file, rule) for file, rule in rules() if "alert" in rule}


@cache
def rule_tests() -> list[dict[str, Any]]:
    """Every case of every promtool test file."""
    return [
        case
        for path in sorted(RULE_TESTS.glob("*.yml"))
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
    ]


def fired(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The alerts that a case expects, whenever."""
    return [
        {"alertname": step["alertname"], **alert}
        for step in case.get("alert_rule_test", ())
        for alert in step.get("exp_alerts") or ()
    ]
