"""What Prometheus' and Alertmanager's own checkers say, and where an alert goes and what keeps it quiet."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.binaries import find
from harness.receivers import switched_on
from tests.unit.rules.catalogue import ALERTMANAGER, ROOT, RULE_TESTS, RULES, RUNBOOKS, alerts, fired, rule_tests

SECRETS = {
    "slack": "slack_url",
    "pagerduty": "pagerduty_routing_key",
    "email": "email_password",
    "webhook": "webhook_url",
}


def run(name: str, *args: str | Path) -> str:
    tool = find(name)
    done = subprocess.run(
        tool.command(*args), env=None if not tool.env else {**tool.env}, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_configuration() -> None:
    run("promtool", "check", "config", ROOT / "prometheus/prometheus.yml")


def test_the_rules_have_no_lint() -> None:
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml")))


@pytest.mark.parametrize("path", sorted(RULE_TESTS.glob("*.yml")), ids=lambda path: path.stem)
def test_the_rules_pass_their_tests(path: Path) -> None:
    run("promtool", "test", "rules", path)


def test_every_rule_file_and_every_case_is_looked_at() -> None:
    tested = {
        Path(name).name
        for path in RULE_TESTS.glob("*.yml")
        for name in yaml.safe_load(path.read_text(encoding="utf-8"))["rule_files"]
    }
    assert tested == {path.name for path in RULES.glob("*.yml")}
    for case in rule_tests():
        assert len(case["name"].split()) >= 1
        assert case.get("alert_rule_test") or case.get("promql_expr_test")


def test_a_test_file_evaluates_every_group_in_a_known_order() -> None:
    for path in RULE_TESTS.glob("*.yml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        groups = [
            group["name"]
            for file in content["rule_files"]
            for group in yaml.safe_load((path.parent / file).read_text(encoding="utf-8"))["groups"]
        ]
        assert content["group_eval_order"] == groups, path.name


def test_the_queries_of_the_runbooks_are_valid(tmp_path: Path) -> None:
    queries = [
        {"record": "runbook:query", "expr": query, "labels": {"page": path.stem, "n": str(n)}}
        for path in sorted(RUNBOOKS.glob("*.md"))
        for n, query in enumerate(re.findall(r"```promql\n(.*?)```", path.read_text(encoding="utf-8"), re.S))
    ]
    assert len(queries) > len(alerts())
    (tmp_path / "runbooks.yml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": queries}]}))
    run("promtool", "check", "rules", tmp_path / "runbooks.yml")


def test_alertmanager_takes_the_configuration_without_any_secret() -> None:
    run("amtool", "check-config", ALERTMANAGER)


def test_alertmanager_takes_the_configuration_with_every_receiver_on(tmp_path: Path) -> None:
    for name in SECRETS.values():
        (tmp_path / name).write_text("secret")
    text = switched_on(ALERTMANAGER.read_text(encoding="utf-8"), tmp_path)
    assert "- switched_off" not in text
    (tmp_path / "templates").symlink_to(ALERTMANAGER.parent / "templates")
    (tmp_path / "alertmanager.yml").write_text(text)
    run("amtool", "check-config", tmp_path / "alertmanager.yml")


def receivers(config: Path, **labels: str) -> str:
    arguments = [f"{name}={value}" for name, value in labels.items()]
    return run("amtool", "config", "routes", "test", f"--config.file={config}", *arguments).strip()


@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_the_inbox_hears_of_everything_and_nobody_else_without_a_secret(severity: str) -> None:
    assert receivers(ALERTMANAGER, alertname="Any", severity=severity) == "inbox"


def test_the_dead_mans_switch_has_a_way_of_its_own() -> None:
    assert receivers(ALERTMANAGER, alertname="Watchdog", severity="info") == "watchdog"


@pytest.mark.parametrize(
    ("receiver", "severities"),
    [
        ("pagerduty", {"critical"}),
        ("email", {"critical"}),
        ("slack", {"critical", "warning"}),
        ("webhook", {"critical", "warning", "info"}),
    ],
)
def test_a_secret_switches_one_receiver_on(receiver: str, severities: set[str], tmp_path: Path) -> None:
    (tmp_path / SECRETS[receiver]).write_text("secret")
    config = tmp_path / "alertmanager.yml"
    config.write_text(switched_on(ALERTMANAGER.read_text(encoding="utf-8"), tmp_path))
    (tmp_path / "templates").symlink_to(ALERTMANAGER.parent / "templates")
    for severity in ("critical", "warning", "info"):
        expected = "inbox," + receiver if severity in severities else "inbox"
        assert receivers(config, alertname="Any", severity=severity) == expected


def _inhibitions() -> list[dict[str, Any]]:
    return yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))["inhibit_rules"]


def _matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """Whether an alert with these labels is meant; Alertmanager anchors its patterns."""
    for matcher in matchers:
        name, operator, value = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher).groups()  # type: ignore[union-attr]
        equal = re.fullmatch(value, labels.get(name, "")) if "~" in operator else labels.get(name, "") == value
        if bool(equal) == operator.startswith("!"):
            return False
    return True


def _labels(name: str) -> dict[str, str]:
    return {"alertname": name, **alerts()[name].labels}


def _silenced() -> dict[str, set[str]]:
    """For each alert those that it keeps quiet."""
    result: dict[str, set[str]] = {name: set() for name in alerts()}
    for rule in _inhibitions():
        sources = [name for name in alerts() if _matches(rule["source_matchers"], _labels(name))]
        targets = [name for name in alerts() if _matches(rule["target_matchers"], _labels(name))]
        for source in sources:
            result[source] |= set(targets) - {source}
    return result


def test_no_two_alerts_can_keep_each_other_quiet() -> None:
    """Along any chain, not only directly: a circle would leave an incident without a page."""
    silenced = _silenced()

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(silenced[start])
        while todo:
            if (name := todo.pop()) not in seen:
                seen.add(name)
                todo += silenced[name]
        return seen

    assert [name for name in silenced if name in reach(name)] == []


def test_every_name_in_an_inhibition_is_an_alert() -> None:
    for rule in _inhibitions():
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            if matcher.startswith("alertname"):
                for name in matcher.split('"')[1].split("|"):
                    assert name in alerts(), f"{matcher}: no alert {name}"


def test_labels_that_have_to_be_equal_are_always_set() -> None:
    """A label that is missing on both sides is equal, and would let any alert silence any other."""
    carried: dict[str, list[set[str]]] = {}
    for case in rule_tests():
        for alert in fired(case):
            carried.setdefault(alert["alertname"], []).append(set(alert["exp_labels"]))
    for rule in _inhibitions():
        for name in alerts():
            if _matches(rule["source_matchers"], _labels(name)) or _matches(rule["target_matchers"], _labels(name)):
                for labels in carried[name]:
                    assert set(rule.get("equal", ())) <= labels, f"{name} does not carry {rule['equal']}"


@pytest.mark.parametrize(
    ("fault", "quiet"),
    [
        ("BrokerDown", {"ExporterDown", "NoWorkersOnline", "QueueStalled", "EventStreamSilent", "BeatNotFiring"}),
        ("ExporterDown", {"NoWorkersOnline", "QueueNoConsumers", "EventsLost", "WorkerLost"}),
        ("EventStreamSilent", {"NoWorkersOnline", "WorkerLost", "QueueStalled", "TaskFailing"}),
        (
            "NoWorkersOnline",
            {"QueueNoConsumers", "OldestTaskTooOld", "LongTaskQueue", "WorkerLost", "BacklogNotDraining"},
        ),
        (
            "QueueNoConsumers",
            {"QueueStalled", "OldestTaskTooOld", "LongTaskQueue", "BacklogNotDraining", "BacklogGrowing"},
        ),
        ("OldestTaskTooOld", {"LongTaskQueue", "QueueWaitFastBurn", "BacklogNotDraining"}),
        ("ManyTasksFailing", {"TaskFailing", "TaskFailuresHigh", "HighTaskFailureRate"}),
        ("TaskFailing", {"TaskFailuresHigh", "HighTaskFailureRate"}),
        ("PoisonPill", {"WorkerChildrenLost", "OldestTaskTooOld"}),
        ("BeatDead", {"BeatNotFiring", "ScheduledTaskMissed"}),
        ("BrokerMemoryAlmostFull", {"BrokerMemoryHigh"}),
    ],
)
def test_a_fault_keeps_quiet_what_follows_from_it(fault: str, quiet: set[str]) -> None:
    assert quiet <= _silenced()[fault]


def test_nothing_keeps_the_pipeline_or_the_dead_mans_switch_quiet() -> None:
    silenced = set().union(*_silenced().values())
    pipeline = {name for name, alert in alerts().items() if alert.labels["component"] == "pipeline"}
    assert silenced & pipeline <= {"PrometheusNotificationsFailing"}


def test_a_warning_never_keeps_a_page_quiet() -> None:
    for source, targets in _silenced().items():
        if alerts()[source].labels["severity"] != "critical":
            assert not [name for name in targets if alerts()[name].labels["severity"] == "critical"], source


def test_pages_about_one_queue_are_ordered_both_ways() -> None:
    """Where a cause keeps a symptom quiet, it must itself wait while that symptom's page is open, or there are two."""
    order = ["QueueNoConsumers", "QueueStalled", "OldestTaskTooOld", "LongTaskQueue", "QueueWaitFastBurn"]
    silenced = _silenced()
    for index, name in enumerate(order):
        later = order[index + 1 :]
        assert set(later) <= silenced[name]
        expr = alerts()[name].rule["expr"]
        if later:
            listed = re.search(r'queue:page_open\{alertname=~?"([^"]+)"\}\s+unless', expr)
            assert listed, f"{name} does not look for open pages"
            assert listed[1].split("|") == later
            assert f'unless on (queue) queue:page_open{{alertname="{name}"}}' in expr
