"""Every alert has a runbook, promtool tests and an end-to-end scenario or a reason why not; nothing is left over."""

from __future__ import annotations

import re

import pytest

from tests.unit.rules.catalogue import COMPONENTS, ROOT, RUNBOOKS, SEVERITIES, Alert, alerts, fired, rule_tests, rules
from tests.unit.rules.unproven import UNPROVEN

EACH = pytest.mark.parametrize("alert", alerts().values(), ids=lambda alert: alert.name)
HEADINGS = ("Meaning", "Impact", "How to see it", "What to do", "How to tune it")
#: Pages that say that nothing can be seen: there is nothing to count.
BLIND = frozenset({"EventStreamSilent", "ExporterDown"})
GUIDES = {
    "HighTaskFailureRate": ("warning", "5m"),
    "LongTaskQueue": ("critical", "10m"),
    "NoWorkersOnline": ("critical", "1m"),
    "SlowTaskExecution": ("warning", "10m"),
}


def _proven() -> set[str]:
    from tests.integration.scenarios import SCENARIOS  # noqa: PLC0415 - the table imports the stack's harness

    return {name for row in SCENARIOS for name in (row.alert, *row.also, *row.inhibited)}


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(alerts())


def test_every_alert_is_seen_to_fire_and_to_keep_quiet() -> None:
    fires = {alert["alertname"] for case in rule_tests() for alert in fired(case)}
    quiet = {
        step["alertname"]
        for case in rule_tests()
        for step in case.get("alert_rule_test", ())
        if not step.get("exp_alerts")
    }
    assert fires == set(alerts())
    assert quiet == set(alerts()) - {"Watchdog"}  # which is never quiet


def test_every_alert_is_proven_end_to_end_or_says_why_not() -> None:
    proven = _proven()
    assert proven <= set(alerts()), "a scenario names an alert that does not exist"
    assert set(UNPROVEN) <= set(alerts()), "a reason is left over"
    assert set(alerts()) - proven <= set(UNPROVEN), "an alert has neither a scenario nor a reason"


def test_the_alert_table_tells_what_the_rules_say() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\((.*?)\) \| (\w+) \| ([^|]+) \|", (ROOT / "docs/alerts.md").read_text(), re.M)
    assert {(name, link, severity, after.strip()) for name, link, severity, after in rows} == {
        (a.name, f"runbooks/{a.name}.md", a.labels["severity"], a.rule.get("for", "at once")) for a in alerts().values()
    }


@EACH
def test_an_alert_says_what_it_is_and_where_to_look(alert: Alert) -> None:
    assert set(alert.labels) == {"severity", "component"}
    assert alert.labels["severity"] in SEVERITIES
    assert alert.labels["component"] in COMPONENTS
    assert alert.file == f"{alert.labels['component']}_alerts.yml"
    assert set(alert.annotations) == {"summary", "description", "runbook_url", "dashboard_url"}
    assert alert.annotations["runbook_url"].endswith(f"/runbooks/{alert.name}")
    assert re.search(r"/d/celery-(overview|tasks|pipeline)(\?|$)", alert.annotations["dashboard_url"])
    assert not alert.annotations["summary"].endswith(".")
    assert alert.annotations["description"].endswith(".")


@EACH
def test_a_page_tells_how_much_and_the_first_step(alert: Alert) -> None:
    if alert.labels["severity"] == "critical":
        assert "First: " in alert.annotations["description"]


def test_every_page_names_its_queue_or_task_and_a_number() -> None:
    """As promtool's tests expect it to be written out."""
    pages = [a for case in rule_tests() for a in fired(case) if a["exp_labels"]["severity"] == "critical"]
    assert pages
    for page in pages:
        text = page["exp_annotations"]["description"]
        for label in ("queue", "task"):
            assert page["exp_labels"].get(label, "") in text
        assert re.search(r"queue|task|backlog", text, re.I), text
        if page["alertname"] not in BLIND:
            assert re.search(r"\d|all|unknown number", text), text


@EACH
def test_a_runbook_has_every_part(alert: Alert) -> None:
    text = (RUNBOOKS / f"{alert.name}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {alert.name}\n\n`{alert.labels['severity']}`, component `{alert.labels['component']}`")
    parts = dict(re.findall(r"^## (.+?)\n+(.*?)(?=^## |\Z)", text, re.M | re.S))
    assert tuple(parts)[: len(HEADINGS)] == HEADINGS
    for heading in HEADINGS:
        assert len(parts[heading].split()) >= 5, f"{heading} says next to nothing"
    assert "```promql" in parts["How to see it"]
    if "for" in alert.rule:
        assert f", after {alert.rule['for']}" in text


def test_runbooks_name_faults_that_exist() -> None:
    from harness.faults import NAMES  # noqa: PLC0415 - only this test needs the harness

    for path in RUNBOOKS.glob("*.md"):
        for fault in re.findall(r"FAULT=([\w-]+)", path.read_text(encoding="utf-8")):
            assert fault in NAMES, f"{path.name}: there is no fault {fault}"


@pytest.mark.parametrize("name", GUIDES)
def test_the_guides_alerts_keep_their_names_and_meaning(name: str) -> None:
    alert = alerts()[name]
    assert (alert.labels["severity"], alert.rule["for"]) == GUIDES[name]


def test_signals_are_recorded_apart_from_alerts() -> None:
    for file, rule in rules():
        kind = "alert" if file.endswith("_alerts.yml") else "record"
        assert kind in rule, f"{file}: {rule}"


def test_every_signal_that_a_rule_reads_is_recorded() -> None:
    recorded = {rule["record"] for _, rule in rules() if "record" in rule}
    for file, rule in rules():
        for name in re.findall(r"\b[a-z]+:[a-z0-9_:]+", rule["expr"] if isinstance(rule["expr"], str) else ""):
            assert name in recorded or re.fullmatch(r"\d+[smhd]:.*", name), f"{file}: {name} is recorded nowhere"


def test_thresholds_are_limits_and_every_limit_is_used() -> None:
    limits = {rule["record"] for _, rule in rules("limits.yml")}
    used = {name for _, rule in rules() for name in re.findall(r"limit:\w+", str(rule["expr"]))}
    assert limits == used


def test_no_alert_compares_a_raw_counter() -> None:
    for alert in alerts().values():
        for name in re.findall(r"\b\w+_total\b", alert.rule["expr"]):
            bare = re.findall(rf"(?:(?:rate|increase)\()?{name}", alert.rule["expr"])
            born = f"unless {name}" in alert.rule["expr"] or f"{name})" in alert.rule["expr"]
            assert all("(" in use for use in bare) or born, f"{alert.name}: {name}"
