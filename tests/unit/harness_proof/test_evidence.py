"""Evidence is whole where the stack answers, and says what is missing where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness import evidence
from tests.unit.harness_proof.servers import notification, prometheus_alert, serving


def watched(url: str) -> Any:
    """As much of a stack as evidence looks at."""
    worker = SimpleNamespace(name="crew/1", logs=lambda lines: "crew's last words")
    return SimpleNamespace(
        project="trial",
        services=["redis", "worker"],
        address=lambda service: url,
        logs=lambda service, lines=None: f"{service} was here",
        workers=lambda: [worker],
        status=lambda: [(SimpleNamespace(name="redis-1"), SimpleNamespace(state="healthy", detail=""))],
    )


def test_everything_there_is_is_kept(tmp_path: Path) -> None:
    with serving() as server:
        server.put("/api/v1/alerts", {"data": {"alerts": [prometheus_alert("A")]}})
        for path in ("/api/v1/targets", "/api/v1/rules", "/api/v1/status/config", "/api/v2/alerts", "/api/v2/status"):
            server.put(path, {"path": path})
        server.put("/metrics", "celery_worker_up 1\n")
        server.put(
            "/api/v1/query_range", lambda p: (200, {"data": {"result": [{"metric": {}, "values": [p["step"]]}]}})
        )
        rows = [notification(1, "A")]
        server.put(
            "/api/notifications",
            lambda p: (200, {"notifications": rows if p["after"] == "0" else [], "last_id": 1}),
        )
        folder = evidence.keep(watched(server.url), tmp_path / "kept", ["rate(a[5m]) > 0", "up"], since=0.0)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in names if name.endswith(".missing")]
    assert {
        "status.txt",
        "alerts.json",
        "notifications.json",
        "logs/redis.log",
        "logs/crew-1.log",
        "series/up.json",
    } <= names
    assert (folder / "logs" / "worker.log").read_text() == "worker was here"
    assert json.loads((folder / "series" / "rate-a-5m-0.json").read_text())["expression"] == "rate(a[5m]) > 0"
    assert json.loads((folder / "notifications.json").read_text())[0]["name"] == "A"


def test_what_cannot_be_had_leaves_a_note_and_stops_nothing(tmp_path: Path) -> None:
    stack = watched("http://127.0.0.1:9")
    stack.logs = lambda service, lines=None: (_ for _ in ()).throw(OSError("no such container"))
    folder = evidence.keep(stack, tmp_path / "kept", ["up"])
    assert "refused" in (folder / "alerts.json.missing").read_text()
    assert "no such container" in (folder / "logs" / "redis.log.missing").read_text()
    assert (folder / "logs" / "crew-1.log").read_text() == "crew's last words"


def test_a_name_of_a_file_is_short_and_plain() -> None:
    assert evidence.file_name('sum by (queue) (a{x="/y"})') == "sum-by-queue-a-x-y"
    assert len(evidence.file_name("a" * 500)) == 120
    assert evidence.file_name("///") == "unnamed"
