"""What the measurement of overhead makes of its figures: medians with bounds, and verdicts that may be open."""

from __future__ import annotations

import random

import pytest

from tests.bench.overhead import AGAIN, PLAIN, median, report, verdict


def test_the_bounds_hold_the_true_median_about_as_often_as_they_say() -> None:
    source = random.Random(7)
    held = 0
    for _ in range(400):
        # Lopsided, as times are: the median of an exponential distribution is log 2.
        _, low, high = median([source.expovariate(1) for _ in range(40)])
        held += low <= 0.6931 <= high
    assert 0.93 <= held / 400 <= 0.99


def test_few_rounds_have_wide_bounds() -> None:
    assert median([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.0, 0.04, "5% met"), (-0.01, 0.06, "5% open"), (0.05, 0.07, "5% MISSED"), (0.04, 0.05, "5% open")],
)
def test_a_goal_is_met_missed_or_open(low: float, high: float, said: str) -> None:
    assert verdict(0.05, low, high) == said


def test_an_open_goal_is_not_met(capsys: pytest.CaptureFixture[str]) -> None:
    plain = [(0.001, 0.002)] * 20
    steady, unsteady = [(0.00102, 0.002)] * 20, [(0.00099 + 0.0001 * (n % 2), 0.002) for n in range(20)]
    goals = {PLAIN: None, AGAIN: None, "metrics": 0.05}
    assert report({PLAIN: plain, AGAIN: plain, "metrics": steady}, goals)
    assert not report({PLAIN: plain, AGAIN: plain, "metrics": unsteady}, goals)
    assert "open" in capsys.readouterr().out
