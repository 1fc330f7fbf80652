"""`python -m inbox` as a program: it starts, survives, and says what is wrong with its settings."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from webhooks import Serve, alert, webhook

TIMEOUT = 30


def test_what_was_answered_survives_a_kill_and_a_restart(serve: Serve) -> None:
    child, address = serve()
    assert requests.get(f"{address}/healthz", timeout=TIMEOUT).json() == {"status": "ok"}
    requests.post(f"{address}/api/alertmanager", json=webhook(alert()), timeout=TIMEOUT).raise_for_status()
    before = requests.get(f"{address}/api/notifications", timeout=TIMEOUT).json()
    child.kill()

    _, address = serve()

    assert requests.get(f"{address}/api/notifications", timeout=TIMEOUT).json() == before
    stamp = before["notifications"][0]["received_at"]
    shown = [
        float(line.split()[1])
        for line in requests.get(f"{address}/metrics", timeout=TIMEOUT).text.splitlines()
        if line.startswith("inbox_last_notification_timestamp_seconds")
    ]
    assert shown == [pytest.approx(stamp)]


def test_it_ends_cleanly_on_sigterm(serve: Serve) -> None:
    child, _ = serve()
    child.signal(signal.SIGTERM)
    assert child.process.wait(TIMEOUT) in (0, -signal.SIGTERM)
    assert "Traceback" not in child.said(100)


def test_json_log_lines_hold_no_annotation(serve: Serve) -> None:
    child, address = serve(LOG_FORMAT="json")
    secret = alert(annotations={"description": "a secret"})
    requests.post(f"{address}/api/alertmanager", json=webhook(secret), timeout=TIMEOUT).raise_for_status()
    lines = child.said(100).splitlines()
    assert all(line.startswith('{"time": ') for line in lines)
    assert any("OldestTaskTooOld" in line for line in lines)
    assert not any("a secret" in line for line in lines)


def refusal(**variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "inbox"],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("INBOX_PORT", "http", "from 0 to 65535"),
        ("INBOX_PORT", "65536", "from 0 to 65535"),
        ("INBOX_MAX_ROWS", "0", "from 10 to"),
        ("LOG_FORMAT", "xml", "human or json"),
    ],
)
def test_a_bad_setting_ends_it_with_one_line(name: str, value: str, says: str) -> None:
    (line,) = refusal(**{name: value}).splitlines()
    assert f"{name}='{value}'" in line
    assert says in line


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("these are no tables" * 100)
    (line,) = refusal(INBOX_DB=str(other)).splitlines()
    assert str(other) in line
    assert "set INBOX_DB" in line


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "address already in use" in refusal(INBOX_PORT=str(port), INBOX_DB=str(tmp_path / "i.sqlite3"))
