"""An inbox to test: in this process for the API, as a program for the rest."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from webhooks import Serve

from harness.child import Child, start
from harness.wait import Pending, until
from inbox.app import create_app
from inbox.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database=tmp_path / "inbox.sqlite3")


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as made:
        yield made


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start `python -m inbox` over the test's database on a port of its choice; gives the program and its address."""
    with ExitStack() as started:

        def run(**variables: str) -> tuple[Child, str]:
            log = tmp_path / f"inbox-{len(os.listdir(tmp_path))}.log"
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith("INBOX_")},
                "INBOX_PORT": "0",
                "INBOX_DB": str(tmp_path / "inbox.sqlite3"),
                **variables,
            }
            child = start([sys.executable, "-m", "inbox"], log=log, env=environment)
            started.callback(child.kill)

            def address() -> str | Pending:
                if not child.running:
                    raise RuntimeError(f"the inbox ended: {child.said()}")
                found = re.search(r"running on (http://[\d.]+:\d+)", child.said())
                return found[1] if found else Pending(child.said())

            return child, until(address, "the inbox to say its address", timeout=60)

        yield run
