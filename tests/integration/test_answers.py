"""Every query of the guides and of the dashboards answers on the running stack under load."""

from __future__ import annotations

import pytest

from grafana.queries import PanelQuery, queries
from harness.clients import Prometheus
from harness.durations import divided
from harness.promql import rescale
from harness.stack import Stack
from harness.wait import Pending, until
from tests.integration.guide_queries import GUIDE_QUERIES

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

# From a start to the first answer of the slowest: a rate over five minutes of a series recorded each minute.
WITHIN_SECONDS = 90.0


def answers(prometheus: Prometheus, expression: str, factor: int) -> None:
    """Wait for data; a wrong expression raises at once."""
    on_the_clock = rescale(expression, lambda duration: divided(duration, factor))

    def check() -> bool | Pending:
        return bool(prometheus.query(on_the_clock)) or Pending("no data")

    until(check, f"an answer to {on_the_clock}", WITHIN_SECONDS, interval=0.5)


@pytest.mark.parametrize("query", GUIDE_QUERIES)
def test_a_guides_query_returns_data(query: str, prometheus: Prometheus, stack: Stack) -> None:
    answers(prometheus, query, stack.factor)


@pytest.mark.parametrize(
    "query", [q for q in queries() if not q.needs], ids=lambda q: f"{q.dashboard}-{q.panel}".replace(" ", "_")
)
def test_a_panel_shows_data(query: PanelQuery, prometheus: Prometheus, stack: Stack) -> None:
    answers(prometheus, query.expr, stack.factor)


@pytest.mark.parametrize(
    "query", [q for q in queries() if q.needs], ids=lambda q: f"{q.dashboard}-{q.panel}".replace(" ", "_")
)
def test_a_panel_that_needs_something_to_happen_asks_a_valid_question(
    query: PanelQuery, prometheus: Prometheus, stack: Stack
) -> None:
    prometheus.query(rescale(query.expr, lambda duration: divided(duration, stack.factor)))
