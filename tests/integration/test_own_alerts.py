"""The plugin in somebody else's repository: their rules, their Prometheus, none of this stack."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.binaries import find
from harness.child import running
from harness.clients import Prometheus
from harness.clock import render
from harness.ports import free_ports
from harness.wait import until

HERE = Path(__file__).parent / "own_alerts"


class Application(BaseHTTPRequestHandler):
    """Somebody's application: PUT /<queue> sets a length, GET /metrics tells them."""

    lengths: dict[str, int] = {}  # noqa: RUF012 - one application for the module

    def do_PUT(self) -> None:
        self.lengths[self.path.strip("/")] = int(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        body = "".join(f'my_queue_length{{queue="{q}"}} {n}\n' for q, n in self.lengths.items()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def application() -> Iterator[str]:
    """The application's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Application)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def own_prometheus(application: str, tmp_path: Path) -> Iterator[str]:
    """Their Prometheus, on their rules at a fifteenth of the time."""
    config = tmp_path / "prometheus"
    render(HERE, config, factor=15)
    main = config / "prometheus.yml"
    main.write_text(main.read_text().replace("127.0.0.1:APPLICATION_PORT", application.removeprefix("http://")))
    tool, [port] = find("prometheus"), free_ports(1)
    command = tool.command(
        f"--config.file={main}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}"
    )
    with running(command, log=tmp_path / "prometheus.log", env={**os.environ, **tool.env}, cwd=tmp_path):
        client = Prometheus(f"http://127.0.0.1:{port}")
        until(client.ready, "their Prometheus", 60)
        yield client.url


def theirs(folder: Path, prometheus: str, application: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run pytest as they do: in their own folder, without this project's configuration."""
    example = folder / "test_my_alerts.py"
    example.write_text((HERE / "example.py").read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "harness.plugin",
        f"--prometheus-url={prometheus}",
        *arguments,
    ]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [*command, str(example)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root, "APPLICATION_URL": application, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_documented_example_passes(own_prometheus: str, application: str, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    status, said = theirs(folder, own_prometheus, application)
    assert status == 0, said
    assert "3 passed" in said


def test_it_fails_where_the_alert_does_not_fire(own_prometheus: str, application: str, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    status, said = theirs(folder, own_prometheus, application, "-k", "nobody_notices", EXPECT_FAILURE="1")
    assert status == 1, said
    assert 'waited in vain for QueueTooLong{queue="reports"} to be firing' in said


def test_the_example_is_the_documented_one() -> None:
    document = (Path(__file__).parents[2] / "docs" / "testing-your-own-alerts.md").read_text()
    example = (HERE / "example.py").read_text()
    for line in ('"QueueTooLong", {"queue": "emails"}, within=', "assert_alert_silent", "assert_resolves"):
        assert line in document
        assert line in example
