"""What the plugin asserts, and what it says when it is not so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.clients import Inbox, Prometheus
from harness.concerned import series_of
from harness.probe import Probe
from harness.wait import BrokenError, DeadlineError
from tests.unit.harness_proof.servers import Answers, notification, prometheus_alert, serving


@pytest.fixture
def server() -> Iterator[Answers]:
    with serving() as answers:
        rules = [
            {"name": "Stalled", "type": "alerting", "query": "queue:length > 0 unless on (queue) started:rate5m"},
            {"name": "queue:length", "type": "recording", "query": "sum by (queue) (celery_queue_length)"},
        ]
        answers.put("/api/v1/rules", {"data": {"groups": [{"name": "g", "rules": rules}]}})
        answers.put("/api/v1/alerts", {"data": {"alerts": []}})
        answers.put("/api/notifications", {"notifications": [], "last_id": 0})
        yield answers


@pytest.fixture
def probe(server: Answers) -> Probe:
    return Probe(Prometheus(server.url), None, Inbox(server.url))


def alerts(server: Answers, *rows: dict[str, Any]) -> None:
    server.put("/api/v1/alerts", {"data": {"alerts": list(rows)}})


def test_an_alert_that_fires_is_returned(server: Answers, probe: Probe) -> None:
    alerts(server, prometheus_alert("Stalled", queue="a"), prometheus_alert("Stalled", queue="b"))
    assert probe.fires("Stalled", {"queue": "b"}, within=5).labels["queue"] == "b"


def test_pending_is_not_firing_unless_that_is_enough(server: Answers, probe: Probe) -> None:
    alerts(server, prometheus_alert("Stalled", "pending", queue="a"))
    with pytest.raises(DeadlineError, match=r'last seen: Stalled pending \{alertname="Stalled", queue="a"\}'):
        probe.fires("Stalled", within=0.3)
    assert probe.fires("Stalled", within=0.3, states=("pending", "firing")).state == "pending"


def test_an_alert_of_another_queue_does_not_count(server: Answers, probe: Probe) -> None:
    alerts(server, prometheus_alert("Stalled", queue="a"))
    with pytest.raises(DeadlineError, match=r'Stalled\{queue="b"\} to be firing'):
        probe.fires("Stalled", {"queue": "b"}, within=0.3)


def test_a_rule_that_does_not_exist_is_told_at_once(probe: Probe) -> None:
    with pytest.raises(AssertionError, match="no alerting rule Staled; did you mean Stalled"):
        probe.fires("Staled", within=600)
    with pytest.raises(AssertionError, match="no alerting rule queue:length"):
        probe.silent("queue:length", seconds=600)


def test_silence_breaks_when_the_alert_fires(server: Answers, probe: Probe) -> None:
    alerts(server, prometheus_alert("Stalled", "pending"))
    probe.silent("Stalled", seconds=0.3)
    alerts(server, prometheus_alert("Stalled", queue="a"))
    with pytest.raises(BrokenError, match="silence of Stalled did not hold"):
        probe.silent("Stalled", seconds=0.3)
    probe.silent("Stalled", {"queue": "b"}, seconds=0.3)


def test_delivery_is_of_what_came_later(server: Answers, probe: Probe) -> None:
    def answer(params: dict[str, str]) -> tuple[int, Any]:
        rows = [notification(4, "Stalled"), notification(5, "Other")]
        found = [
            r
            for r in rows
            if r["id"] > int(params["after"]) and r["alertname"] == params.get("alertname", r["alertname"])
        ]
        return 200, {"notifications": found, "last_id": 5}

    server.put("/api/notifications", answer)
    assert probe.delivered("Stalled", within=1).id == 4
    with pytest.raises(DeadlineError, match="arrived: Other firing"):
        probe.delivered("Stalled", within=0.3, after=4)


def test_an_end_is_an_end_in_prometheus_and_in_the_inbox(server: Answers, probe: Probe) -> None:
    alerts(server, prometheus_alert("Stalled"))
    with pytest.raises(DeadlineError, match="Stalled to clear"):
        probe.resolves("Stalled", within=0.3)
    alerts(server)
    with pytest.raises(DeadlineError, match="the end of Stalled to reach the inbox"):
        probe.resolves("Stalled", within=0.3)
    rows = {"notifications": [], "last_id": 0}
    server.put(
        "/api/notifications",
        lambda p: (200, rows if int(p["after"]) >= 7 else {"notifications": [notification(7, "Stalled", "resolved")]}),
    )
    ended = probe.resolves("Stalled", within=5)
    assert ended is not None
    assert ended.id == 7


def test_without_an_inbox_an_end_is_prometheus_alone(server: Answers) -> None:
    probe = Probe(Prometheus(server.url))
    assert probe.resolves("Stalled", within=1) is None
    with pytest.raises(AssertionError, match="no inbox is known"):
        probe.delivered("Stalled", within=1)


def test_the_series_of_an_alert_are_those_beneath_its_rules(server: Answers) -> None:
    assert series_of(Prometheus(server.url), ["Stalled"]) == [
        "queue:length > 0 unless on (queue) started:rate5m",
        "queue:length",
        "started:rate5m",
        "celery_queue_length",
    ]
