"""Incidents of one queue, one task or one worker, side by side on one stack: each found, paged once, and cleared."""

from __future__ import annotations

import pytest

from tests.integration.phases import Phases
from tests.integration.scenario import Scenario
from tests.integration.scenarios import SCENARIOS

SIDE_BY_SIDE = [scenario for scenario in SCENARIOS if not scenario.alone]

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


@pytest.mark.parametrize("scenario", SIDE_BY_SIDE, ids=lambda scenario: scenario.name)
def test_incident(scenario: Scenario, phases: Phases, request: pytest.FixtureRequest) -> None:
    wanted = {item.callspec.params["scenario"].name for item in request.session.items if _is_incident(item)}
    phases.side_by_side([s for s in SIDE_BY_SIDE if s.name in wanted])
    error = phases.outcomes[scenario.name].error
    if error:
        raise error


def _is_incident(item: pytest.Item) -> bool:
    return item.name.startswith("test_incident[") and item.path.name == "test_incidents.py"
