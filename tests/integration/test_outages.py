"""What hits the whole stack, one after another: one page each, everything that follows from it silent."""

from __future__ import annotations

import pytest

from tests.integration.phases import Phases
from tests.integration.scenarios import SCENARIOS, Scenario

ALONE = [scenario for scenario in SCENARIOS if scenario.alone]

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


@pytest.mark.parametrize("scenario", ALONE, ids=lambda scenario: scenario.name)
def test_outage(scenario: Scenario, phases: Phases) -> None:
    phases.alone(scenario)
    error = phases.outcomes[scenario.name].error
    if error:
        raise error
