"""What comes in is what the API gives back; what cannot be taken is refused with a reason."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import time
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from webhooks import alert, encoded, webhook

from inbox import intake
from inbox.app import create_app
from inbox.settings import Settings

WEBHOOK = "/api/alertmanager"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def series(client: TestClient) -> dict[str, float]:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_firing_alert_is_given_back_whole(client: TestClient) -> None:
    before = time.time()
    assert client.post(WEBHOOK, json=webhook()).json() == {"stored": 1}

    answer = client.get("/api/notifications").json()

    (row,) = answer["notifications"]
    assert before <= row.pop("received_at") <= time.time()
    assert row == {
        "id": 1,
        "receiver": "inbox",
        "status": "firing",
        "alertname": "OldestTaskTooOld",
        "labels": {"alertname": "OldestTaskTooOld", "severity": "critical", "queue": "payments"},
        "annotations": {
            "summary": "OldestTaskTooOld on payments",
            "description": "The oldest task waits for 4 minutes.",
        },
        "starts_at": 1767323045.5,
        "ends_at": None,
        "fingerprint": "OldestTaskTooOld-payments",
        "group_key": '{}:{alertname="OldestTaskTooOld"}',
        "generator_url": "http://prometheus:9090/graph",
    }
    assert answer["last_id"] == 1


def test_every_alert_of_a_notification_is_a_row_and_the_latest_state_is_one_per_fingerprint(client: TestClient) -> None:
    client.post(WEBHOOK, json=webhook(alert(), alert("WorkerLost")))
    client.post(WEBHOOK, json=webhook(alert(status="resolved")))

    rows = client.get("/api/notifications").json()["notifications"]
    latest = {row["alertname"]: row for row in client.get("/api/alerts").json()["alerts"]}

    assert [(row["alertname"], row["status"]) for row in rows] == [
        ("OldestTaskTooOld", "firing"),
        ("WorkerLost", "firing"),
        ("OldestTaskTooOld", "resolved"),
    ]
    assert {name: (row["status"], row["ends_at"], row["id"]) for name, row in latest.items()} == {
        "OldestTaskTooOld": ("resolved", 1767323645.5, 3),
        "WorkerLost": ("firing", None, 2),
    }


def test_notifications_are_filtered_and_read_on_from_the_last_id(client: TestClient) -> None:
    client.post(WEBHOOK, json=webhook(alert(), alert("WorkerLost"), alert("WorkerLost", status="resolved")))

    def names(query: str) -> tuple[list[tuple[str, str]], int]:
        answer = client.get(f"/api/notifications?{query}").json()
        return [(row["alertname"], row["status"]) for row in answer["notifications"]], answer["last_id"]

    assert names("alertname=WorkerLost&status=resolved") == ([("WorkerLost", "resolved")], 3)
    assert names("status=firing&after=1") == ([("WorkerLost", "firing")], 3)
    assert names("after=3") == ([], 3)
    assert names("limit=2") == ([("OldestTaskTooOld", "firing"), ("WorkerLost", "firing")], 2)
    assert client.get("/api/notifications?after=-1").status_code == 422
    assert client.get("/api/notifications?status=perhaps").status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "reason", "says"),
    [
        pytest.param(b"{", 400, "not_json", "not JSON", id="cut short"),
        pytest.param(b"\xff\xfe", 400, "not_json", "not JSON", id="not text"),
        pytest.param(b"[" * 100_000, 400, "not_json", "not JSON", id="nested without end"),
        pytest.param(b"[]", 422, "invalid", "not a JSON object", id="a list"),
        pytest.param(encoded(version="3"), 422, "unsupported_version", 'version is not "4"', id="an old version"),
        pytest.param(encoded(alerts=[]), 422, "invalid", "alerts", id="no alerts"),
        pytest.param(encoded({**alert(), "status": "maybe"}), 422, "invalid", "alerts.0.status", id="unknown status"),
        pytest.param(encoded({**alert(), "startsAt": "soon"}), 422, "invalid", "alerts.0.startsAt", id="no time"),
        pytest.param(
            encoded({**alert(), "startsAt": "2026-01-02T03:04:05"}), 422, "invalid", "timezone", id="time without zone"
        ),
        pytest.param(
            encoded({**alert(), "labels": {"queue": 7}}), 422, "invalid", "labels.queue", id="number as label"
        ),
        pytest.param(
            encoded({**alert(), "labels": {f"l{n}": "" for n in range(65)}}), 422, "invalid", "labels", id="many labels"
        ),
        pytest.param(
            encoded({**alert(), "labels": {"queue": "x" * 20_000}}), 422, "invalid", "16384 characters", id="long label"
        ),
        pytest.param(
            encoded().replace(b"payments", b"\\ud800"), 422, "invalid", "Invalid JSON", id="half a surrogate pair"
        ),
        pytest.param(b" " * 1_048_577, 413, "too_large", "1048576 bytes", id="large"),
    ],
)
def test_bad_input_is_refused_with_a_reason_and_counted(
    client: TestClient, body: bytes, status: int, reason: str, says: str
) -> None:
    answer = client.post(WEBHOOK, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["error"]) == (status, reason)
    assert says in answer.json()["detail"]
    assert client.get("/api/notifications").json() == {"notifications": [], "last_id": 0}
    seen = series(client)
    assert seen[f"inbox_notifications_rejected_total{{{reason}}}"] == 1
    assert seen["inbox_notifications_stored_total"] == 0


def test_a_post_that_is_not_json_by_its_type_is_refused(client: TestClient) -> None:
    answer = client.post(WEBHOOK, content=encoded(), headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]) == (415, "content_type")


def test_one_bad_alert_keeps_the_whole_notification_out(client: TestClient) -> None:
    assert client.post(WEBHOOK, json=webhook(alert(), {**alert(), "fingerprint": ""})).status_code == 422
    assert client.get("/api/alerts").json()["alerts"] == []


def test_a_long_annotation_is_shortened_and_not_refused(client: TestClient) -> None:
    client.post(WEBHOOK, json=webhook(alert(annotations={"description": "d" * 30_000})))
    (row,) = client.get("/api/alerts").json()["alerts"]
    assert row["annotations"]["description"] == "d" * 1_999 + "…"


def test_a_firing_alert_has_no_end_whatever_its_end_says(client: TestClient) -> None:
    client.post(WEBHOOK, json=webhook(alert(endsAt="2099-01-01T00:00:00Z")))
    assert client.get("/api/alerts").json()["alerts"][0]["ends_at"] is None


def test_at_the_row_limit_the_oldest_go_first_and_what_fires_stays_known(settings: Settings) -> None:
    app = create_app(dataclasses.replace(settings, max_rows=10))
    with TestClient(app) as client:
        client.post(WEBHOOK, json=webhook(alert("First")))
        for n in range(12):
            client.post(WEBHOOK, json=webhook(alert(f"Past{n}", status="resolved")))

        notifications = client.get("/api/notifications").json()
        latest = [row["alertname"] for row in client.get("/api/alerts").json()["alerts"]]
        seen = series(client)

    assert [row["alertname"] for row in notifications["notifications"]] == [f"Past{n}" for n in range(2, 12)]
    assert notifications["last_id"] == 13
    assert latest == [*(f"Past{n}" for n in range(11, 2, -1)), "First"]
    assert seen["inbox_rows{notifications}"] == seen["inbox_rows{alerts}"] == 10
    assert seen["inbox_rows_dropped_total{notifications}"] == seen["inbox_rows_dropped_total{alerts}"] == 3


def test_metrics_tell_what_came_in(client: TestClient) -> None:
    before = series(client)
    client.post(WEBHOOK, json=webhook(alert(), alert("WorkerLost"), truncatedAlerts=4))
    client.post(WEBHOOK, content=b"{", headers={"Content-Type": "application/json"})
    after = series(client)

    assert before["inbox_last_notification_timestamp_seconds"] == 0
    assert time.time() - 60 < after["inbox_last_notification_timestamp_seconds"] <= time.time()
    assert after["inbox_notifications_received_total"] == 2
    assert after["inbox_notifications_stored_total"] == 1
    assert after["inbox_alerts_stored_total"] == 2
    assert after["inbox_alerts_truncated_total"] == 4
    assert after["inbox_rows{notifications}"] == 2


@pytest.mark.anyio
async def test_calls_beyond_the_limit_are_told_to_come_again(settings: Settings) -> None:
    app = create_app(dataclasses.replace(settings, max_pending=1))
    headers = {"Content-Type": "application/json"}
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slowly() -> object:
        yield b"  "
        arrived.set()
        await go.wait()
        yield encoded()

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inbox") as client:
        first = asyncio.create_task(client.post(WEBHOOK, content=slowly(), headers=headers))
        await arrived.wait()
        second = await client.post(WEBHOOK, content=encoded(), headers=headers)
        go.set()
        assert (second.status_code, second.json()["error"], second.headers["Retry-After"]) == (503, "overloaded", "1")
        assert (await first).json() == {"stored": 1}
        assert (await client.post(WEBHOOK, content=encoded(), headers=headers)).json() == {"stored": 1}


@pytest.mark.anyio
async def test_a_body_that_never_ends_gives_its_place_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BODY_TIMEOUT", 0.05)
    app = create_app(dataclasses.replace(settings, max_pending=1))
    headers = {"Content-Type": "application/json"}

    async def never() -> object:
        yield b"{"
        await asyncio.Event().wait()

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inbox") as client:
        answer = await client.post(WEBHOOK, content=never(), headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (408, "slow")
        monkeypatch.setattr(intake, "BODY_TIMEOUT", 60)
        assert (await client.post(WEBHOOK, content=encoded(), headers=headers)).status_code == 200


def test_a_database_that_fails_is_said_so_that_alertmanager_tries_again(settings: Settings) -> None:
    with TestClient(create_app(settings)) as client:
        with sqlite3.connect(settings.database) as other:
            other.execute("DROP TABLE alerts")
        answer = client.post(WEBHOOK, json=webhook())
        assert (answer.status_code, answer.json()["error"]) == (503, "storage")
        assert client.get("/healthz").status_code == 503
        assert client.get("/api/notifications").json()["notifications"] == [], "a half-written notification stayed"


def test_every_answer_forbids_what_the_page_does_not_need(client: TestClient) -> None:
    for path in ("/", "/page/inbox.js", "/api/alerts"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_runbooks_are_served_by_name_and_as_text(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "WorkerLost.md").write_text("# WorkerLost\n\n<script>alert(1)</script> & more")
    (tmp_path / "secret.md").write_text("a secret")
    with TestClient(create_app(dataclasses.replace(settings, runbooks=folder))) as client:
        found = client.get("/runbooks/WorkerLost")
        assert (found.status_code, found.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in found.text
        assert client.get("/runbooks/WorkerLost.md").text == found.text
        assert '<a href="/runbooks/WorkerLost">' in client.get("/runbooks").text
        for name in ("Other", "..%2Fsecret", "%2e%2e%2fsecret", "<script>", "WorkerLost%00"):
            refused = client.get(f"/runbooks/{name}")
            assert refused.status_code == 404
            assert "<script>" not in refused.text
            assert "a secret" not in refused.text
