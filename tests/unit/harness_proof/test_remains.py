"""What is left of a stack is found, and is only what belongs to it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.child import running
from harness.processes import MARK
from harness.remains import insist_on_nothing_left, left_of
from harness.wait import until


def ended(project: str, run: Path) -> Any:
    return SimpleNamespace(kind="native", project=project, run=run)


def test_a_process_and_a_file_of_the_project_are_found(tmp_path: Path) -> None:
    stack = ended("trial-left", tmp_path)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with running(command, log=tmp_path / "log", env={**os.environ, MARK: "trial-left/worker-1/x"}) as child:
        until(lambda: any(f"process {child.pid}" in line for line in left_of(stack)), "the process to be found", 30)
        with pytest.raises(AssertionError, match=f"trial-left was taken down and left behind:\n  file {tmp_path}"):
            insist_on_nothing_left(stack)


def test_a_process_of_another_project_is_none_of_its_business(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with running(command, log=tmp_path / "log", env={**os.environ, MARK: "trial-leftover/worker-1/x"}):
        insist_on_nothing_left(ended("trial-left", tmp_path / "gone"))
