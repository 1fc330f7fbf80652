"""Prometheus' durations as rule files write them."""

import re

from tests.mutation.promql import duration

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}


def milliseconds(text: str) -> int:
    """`1h30m` as milliseconds. Raises ValueError for what is no duration."""
    parts = re.findall(r"(\d+)(ms|[smhdwy])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration such as 5m or 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def multiplied(text: str, factor: int) -> str:
    """The duration `factor` times as long, as text."""
    return duration(milliseconds(text) * factor)
