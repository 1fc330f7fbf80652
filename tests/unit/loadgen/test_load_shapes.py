"""The shapes as tables, and the users that make them."""

from __future__ import annotations

import pytest

from loadgen.shapes import SHAPES, USERS, Shape, base_users, users


def test_every_shape_of_the_stack_is_there_and_never_negative() -> None:
    assert set(SHAPES) == {"steady", "burst", "backlog", "ramp", "day"}
    for name, shape in SHAPES.items():
        assert shape.points[0][0] == 0, name
        assert [at for at, _ in shape.points] == sorted(at for at, _ in shape.points), name
        assert all(multiplier > 0 for _, multiplier in shape.points), name


@pytest.mark.parametrize(
    ("name", "seconds", "multiplier"),
    [
        ("steady", 0, 1),
        ("steady", 12_345, 1),
        ("burst", 109.9, 1),
        ("burst", 110, 8),
        ("burst", 119.9, 8),
        ("burst", 120, 1),
        ("burst", 230, 8),
        ("backlog", 59, 10),
        ("backlog", 60, 0.5),
        ("backlog", 600, 10),
        ("ramp", 0, 0.1),
        ("ramp", 300, 1.55),
        ("ramp", 100_000, 3),
        ("day", 30, 0.25),
        ("day", 600, 2.0),
        ("day", 24 * 60 + 600, 2.0),
    ],
)
def test_the_multiplier_at_a_moment(name: str, seconds: float, multiplier: float) -> None:
    assert SHAPES[name].multiplier(seconds) == pytest.approx(multiplier)


def test_a_cycle_can_be_stretched() -> None:
    shape = Shape("", ((0, 1), (10, 1), (10, 5), (20, 5)))
    assert [shape.multiplier(second, cycle=4) for second in (0, 1.9, 2, 3.9, 4, 6)] == [1, 1, 5, 5, 1, 5]


@pytest.mark.parametrize("rate", [0.01, 0.5, 5, 49.6, 10_000])
def test_users_stay_within_bounds_and_follow_the_multiplier(rate: float) -> None:
    low, high = USERS
    assert low <= base_users(rate) <= high
    assert users(rate, 1) == base_users(rate)
    assert users(rate, 8) == 8 * base_users(rate)
    assert users(rate, 0.0001) == 1
