"""The table of scenarios is whole: every alert and every fault has a row, or a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.faults import NAMES
from harness.faults.run import chosen
from tests.integration.phases import Phases
from tests.integration.scenario import Scenario
from tests.integration.scenarios import LIMITS, SCENARIOS
from tests.integration.trial import filled
from tests.integration.untried import NOT_HERE, OTHER_FAULTS

RULES = Path(__file__).parents[3] / "prometheus" / "rules"


def rules() -> list[dict[str, object]]:
    return [
        rule
        for path in RULES.glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def test_every_alert_is_tried_or_says_why_not() -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    tried = {scenario.alert for scenario in SCENARIOS}
    tried |= {name for s in SCENARIOS for name in [*s.also, *s.inhibited]}
    assert alerts == tried | set(NOT_HERE)
    assert not tried & set(NOT_HERE), "a reason for not trying what is tried"
    assert all(len(reason) > 20 for reason in NOT_HERE.values())


def test_alerts_that_must_stay_silent_exist() -> None:
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert {name for scenario in SCENARIOS for name in scenario.silent} <= alerts


def test_every_fault_is_tried_or_says_why_not() -> None:
    tried = {scenario.fault for scenario in SCENARIOS}
    assert set(NAMES) == tried | set(OTHER_FAULTS)
    assert not tried & set(OTHER_FAULTS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_is_what_the_rules_say(scenario: Scenario) -> None:
    [rule] = [rule for rule in rules() if rule.get("alert") == scenario.alert]
    labels = rule["labels"]
    assert isinstance(labels, dict)
    assert labels["severity"] == scenario.severity
    chosen(scenario.fault, filled(scenario.params, {"queue": "q", "worker": "w", "node": "w@h"}))
    assert scenario.clears_within > 60


def test_names_are_used_once() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)


def test_objectives_are_of_queues_that_are_tried_and_of_kinds_that_exist() -> None:
    kinds = {rule["record"] for rule in rules() if str(rule.get("record", "")).startswith("limit:")}
    queues = {scenario.queue for scenario in SCENARIOS}
    for kind, labels, _ in LIMITS:
        assert kind in kinds
        assert labels.get("queue", "trial-backlog") in queues


def test_the_table_of_seconds_has_a_row_for_each_outcome() -> None:
    from tests.integration.trial import Outcome  # noqa: PLC0415

    phases = object.__new__(Phases)
    phases.factor, phases.kind = 15, "native"
    phases.outcomes = {"fail": Outcome(next(s for s in SCENARIOS if s.name == "fail"), 11.94, 12.6, None)}
    lines = phases.table().splitlines()
    assert lines[0] == "clock: durations divided by 15"
    assert lines[2].split() == ["fail", "TaskFailing", "critical", "11.9", "12.6", "-", "pages", "after", "3", "min"]
