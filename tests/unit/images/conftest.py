from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which what was fetched, and apt's lists, stay for the other tests."""
    folder = tmp_path_factory.mktemp("shelf")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
