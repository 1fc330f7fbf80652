"""What hits the whole stack, one after another: one page each, everything that follows from it silent."""

from __future__ import annotations

import time

import pytest

from harness import faults
from harness.probe import Probe
from harness.stack import Stack
from harness.wait import Pending, until
from tests.integration.phases import Phases
from tests.integration.scenario import Scenario
from tests.integration.scenarios import SCENARIOS

ALONE = [scenario for scenario in SCENARIOS if scenario.alone]

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


@pytest.mark.parametrize("scenario", ALONE, ids=lambda scenario: scenario.name)
def test_outage(scenario: Scenario, phases: Phases) -> None:
    phases.alone(scenario)
    error = phases.outcomes[scenario.name].error
    if error:
        raise error


def test_a_redis_that_is_killed_and_comes_back_pages_nobody(stack: Stack, probe: Probe) -> None:
    mark = probe.inbox.last_id()
    began = time.time()
    record = faults.inject(stack, "redis-restart")
    faults.heal(stack, record)

    def working() -> bool | Pending:
        # Started after the restart, by workers that found their way back.
        rate = probe.prometheus.value(
            f"sum(increase(celery_task_succeeded_total[{max(2, int(time.time() - began))}s]))"
        )
        return (rate or 0) >= 10 or Pending(f"{rate} tasks succeeded since the restart")

    until(working, "the fleet to work again", 120)
    pages = [n.name for n in probe.inbox.notifications(mark) if n.labels.get("severity") == "critical"]
    assert pages == []
