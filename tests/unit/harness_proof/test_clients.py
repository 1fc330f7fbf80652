"""The clients read what the servers write, and tell a refusal from an absence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from harness.clients import Alertmanager, Inbox, Prometheus, QueryError, carries
from tests.unit.harness_proof.servers import Answers, notification, prometheus_alert, serving


@pytest.fixture
def server() -> Iterator[Answers]:
    with serving() as answers:
        yield answers


def vector(*rows: tuple[dict[str, str], str]) -> dict[str, Any]:
    result = [{"metric": labels, "value": [12.5, value]} for labels, value in rows]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_a_query_answers_in_samples(server: Answers) -> None:
    server.put("/api/v1/query", vector(({"queue": "a"}, "3"), ({"queue": "b"}, "+Inf")))
    first, second = Prometheus(server.url + "/").query("q")
    assert (first.labels, first.value, first.at) == ({"queue": "a"}, 3.0, 12.5)
    assert second.value == float("inf")


def test_a_scalar_is_a_sample_without_labels(server: Answers) -> None:
    server.put("/api/v1/query", {"data": {"resultType": "scalar", "result": [1, "2"]}})
    assert Prometheus(server.url).value("scalar(x)") == 2.0


def test_the_value_of_nothing_is_none_and_of_several_an_error(server: Answers) -> None:
    server.put("/api/v1/query", vector())
    assert Prometheus(server.url).value("q") is None
    server.put("/api/v1/query", vector(({"a": "1"}, "1"), ({"a": "2"}, "1")))
    with pytest.raises(QueryError, match="answers with 2 series"):
        Prometheus(server.url).value("q")


def test_a_wrong_expression_is_an_error_that_no_wait_takes_for_not_yet(server: Answers) -> None:
    server.put("/api/v1/query", {"status": "error", "error": "parse error"}, status=400)
    with pytest.raises(QueryError, match="parse error") as caught:
        Prometheus(server.url).query("rate(")
    assert not isinstance(caught.value, OSError)


def test_a_server_in_trouble_is_an_oserror(server: Answers) -> None:
    server.put("/api/v1/query", "starting", status=503)
    with pytest.raises(OSError, match="503"):
        Prometheus(server.url).query("up")


def test_a_server_that_is_not_there_is_an_oserror() -> None:
    with pytest.raises(OSError, match="refused"):
        Prometheus("http://127.0.0.1:9").query("up")


def test_alerts_are_found_by_name_and_labels(server: Answers) -> None:
    rows = [prometheus_alert("A", queue="q"), prometheus_alert("A", "pending", queue="r"), prometheus_alert("B")]
    server.put("/api/v1/alerts", {"data": {"alerts": rows}})
    client = Prometheus(server.url)
    assert [a.state for a in client.alerts("A")] == ["firing", "pending"]
    [alert] = client.alerts("A", {"queue": "q"})
    assert alert.active_at == pytest.approx(1767323045.123456)
    assert len(client.alerts()) == 3


def test_alertmanager_tells_what_holds_an_alert_back(server: Answers) -> None:
    row = {
        "labels": {"alertname": "A"},
        "annotations": {},
        "receivers": [{"name": "inbox"}],
        "status": {"state": "suppressed", "inhibitedBy": ["x"], "silencedBy": []},
        "fingerprint": "f",
    }
    server.put("/api/v2/alerts", [row])
    [alert] = Alertmanager(server.url).alerts("A")
    assert (alert.state, alert.inhibited_by, alert.receivers) == ("suppressed", ("x",), ("inbox",))


def paged(*rows: dict[str, Any], size: int = 2) -> Any:
    """The inbox's answers, `size` rows at a time."""

    def answer(params: dict[str, str]) -> tuple[int, Any]:
        found = [r for r in rows if r["id"] > int(params["after"])]
        if "alertname" in params:
            found = [r for r in found if r["alertname"] == params["alertname"]]
        if "status" in params:
            found = [r for r in found if r["status"] == params["status"]]
        return 200, {"notifications": found[:size], "last_id": rows[-1]["id"] if rows else 0}

    return answer


def test_the_inbox_is_read_to_its_end(server: Answers) -> None:
    server.put("/api/notifications", paged(*(notification(n, "A", queue="q") for n in range(1, 6))))
    inbox = Inbox(server.url)
    assert [n.id for n in inbox.notifications()] == [1, 2, 3, 4, 5]
    assert [n.id for n in inbox.notifications(after=3)] == [4, 5]
    assert inbox.last_id() == 5


def test_notifications_are_found_by_name_status_and_labels(server: Answers) -> None:
    rows = (notification(1, "A", queue="q"), notification(2, "A", "resolved", queue="q"), notification(3, "B"))
    server.put("/api/notifications", paged(*rows))
    inbox = Inbox(server.url)
    assert [n.id for n in inbox.notifications(0, "A", "firing", {"queue": "q"})] == [1]
    assert inbox.notifications(0, "A", "firing", {"queue": "other"}) == []
    [ended] = inbox.notifications(0, "A", "resolved")
    assert ended.ends_at == 1001.0


def test_an_empty_inbox_has_no_last_notification(server: Answers) -> None:
    server.put("/api/notifications", paged())
    assert Inbox(server.url).last_id() == 0


def test_labels_are_carried_only_where_each_has_its_value() -> None:
    assert carries({"a": "1", "b": "2"}, {"a": "1"})
    assert carries({}, {})
    assert not carries({"a": "1"}, {"a": "2"})
    assert not carries({"a": "1"}, {"b": ""})
