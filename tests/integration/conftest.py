"""One stack for all integration tests, on the test clock, with objectives for the scenarios' own queues."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.probe import Probe
from harness.producer import Producer
from harness.stack import Stack
from tests.integration.phases import Phases
from tests.integration.scenarios import LIMITS
from tests.integration.trial import producing


def limits_file() -> str:
    """The scenarios' objectives as a rules file, in the form of limits.yml."""
    rules = [{"record": name, "labels": labels, "expr": str(value)} for name, labels, value in LIMITS]
    return json.dumps({"groups": [{"name": "limits_trials", "interval": "15s", "rules": rules}]})


@pytest.fixture(scope="session")
def stack_options() -> dict[str, Any]:
    """The plugin's stack with a light load and the scenarios' limits."""
    return {
        "overrides": {"LOAD_RATE": "1", "EXPORTER_MAX_SERIES": "300"},
        "rules": {"limits_trials.yml": limits_file()},
    }


@pytest.fixture(scope="session")
def producer(stack: Stack) -> Iterator[Producer]:
    """A producer of the stack's broker."""
    with producing(stack) as producer:
        yield producer


@pytest.fixture(scope="session")
def phases(stack: Stack, probe: Probe, producer: Producer, pytestconfig: pytest.Config) -> Phases:
    """Runs the scenarios once, those that do not disturb each other at the same time, and keeps their outcomes."""
    found = Phases(stack, probe, producer)
    pytestconfig.stash[Phases.KEY] = found
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the table of seconds from fault to firing, delivery and resolution."""
    phases = config.stash.get(Phases.KEY, None)
    if phases and phases.outcomes:
        terminalreporter.section(f"seconds from fault to page ({phases.kind})")
        terminalreporter.write_line(phases.table())
        terminalreporter.write_line(f"kept in {phases.keep()}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of containers belong to the runs on containers."""
    if config.getoption("--way") == "native":
        apart = [item for item in items if item.get_closest_marker("containers")]
        config.hook.pytest_deselected(items=apart)
        items[:] = [item for item in items if item not in apart]
