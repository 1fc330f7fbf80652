"""The command line: exit statuses, and never a stack trace."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from harness.commands import COMMANDS
from harness.paths import ROOT


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "COMPOSE_PROJECT_NAME": "not-there", "DOCKER_HOST": "unix:///nowhere", **variables}
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "variables", "status", "said"),
    [
        (["up"], {"WAY": "podman"}, 2, "WAY='podman' is no way"),
        (["up"], {"PROFILES": "nope"}, 2, "PROFILES=nope is unknown"),
        (["up"], {"CLOCK": "fast"}, 2, "CLOCK='fast' is not a number"),
        (["up"], {"REDIS_PORT": "high"}, 2, "REDIS_PORT='high' is not a port"),
        (["up"], {"COMPOSE_PROJECT_NAME": "Not A Name"}, 2, "COMPOSE_PROJECT_NAME='Not A Name'"),
        (["up"], {"WAY": "images"}, 1, "needs a container engine"),
        (["observe"], {}, 2, "BROKER_URL is not set"),
        (["observe"], {"BROKER_URL": "ftp://u:geheim@h/"}, 2, "scheme 'ftp'"),
        (["status"], {}, 1, "no stack named not-there was started"),
        (["heal"], {}, 1, "no stack named not-there was started"),
        (["load"], {}, 2, "nothing to change"),
        (["nonsense"], {}, 2, "invalid choice"),
    ],
)
def test_what_cannot_be_is_one_line_and_a_status(
    words: list[str], variables: dict[str, str], status: int, said: str
) -> None:
    done = run(*words, **variables)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 or words == ["nonsense"]


def test_down_where_nothing_runs_is_no_error() -> None:
    done = run("down")
    assert (done.returncode, done.stdout.strip()) == (0, "no stack named not-there runs from this checkout")


def test_break_without_a_fault_lists_them() -> None:
    done = run("break")
    assert done.returncode == 0
    assert "backlog" in done.stdout


def test_every_target_of_the_makefile_is_explained_and_calls_what_there_is() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
    assert targets == explained
    phony = {name for line in re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE) for name in line.split()}
    assert phony == targets
    assert set(re.findall(r"\$\(HARNESS\) (\S+)", text)) <= set(COMMANDS)
