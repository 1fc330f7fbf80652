"""Compose's interpolation rules, each as its documentation states it."""

import pytest

from harness.errors import BadInputError
from harness.interpolate import interpolate, text

VARIABLES = {"SET": "value", "EMPTY": ""}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("plain", "plain"),
        ("$SET", "value"),
        ("a-${SET}-b", "a-value-b"),
        ("${MISSING}", ""),
        ("${MISSING:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY-default}", ""),
        ("${MISSING-default}", "default"),
        ("${SET:-default}", "value"),
        ("${SET:+other}", "other"),
        ("${EMPTY:+other}", ""),
        ("${EMPTY+other}", "other"),
        ("${SET:?must be set}", "value"),
        ("${EMPTY?may be empty}", ""),
        ("$$SET and $$(cat x)", "$SET and $(cat x)"),
        ("${MISSING:-${SET}}", "value"),
        ("${MISSING:-${ALSO:-${SET}-x}}y", "value-xy"),
        ("${MISSING:-http://host:1/a}", "http://host:1/a"),
    ],
)
def test_one_expression(template: str, expected: str) -> None:
    assert text(template, VARIABLES) == expected


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("${MISSING:?see .env}", "MISSING is not set: see .env"),
        ("${EMPTY:?see .env}", "EMPTY is not set: see .env"),
        ("${SET", "is not closed"),
        ("${}", "names no variable"),
        ("${SET!x}", "is not an expression"),
        ("cost: $ 5", "lone $"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_in_words(template: str, said: str) -> None:
    with pytest.raises(BadInputError) as refused:
        text(template, VARIABLES)
    assert said in str(refused.value)


def test_values_of_any_depth_are_filled_in_and_keys_are_not() -> None:
    raw = {"$SET": ["${SET}", {"deep": "$SET"}, 5, True, None]}
    assert interpolate(raw, VARIABLES) == {"$SET": ["value", {"deep": "value"}, 5, True, None]}
