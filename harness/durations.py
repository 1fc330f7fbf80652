"""Durations as Prometheus and Alertmanager write them: `15s`, `1m30s`, `250ms`."""

from __future__ import annotations

import re

# The units go from the greatest to the smallest and each comes once, as in Prometheus.
_UNITS = {"y": 31_536_000_000, "w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
DURATION = (
    r"(?=\d)"
    + "".join(r"(?:\d+m(?!s))?" if unit == "m" else rf"(?:\d+{unit})?" for unit in _UNITS)
    + r"(?<=[a-z])"  # at least one of them
)
_WHOLE = re.compile(DURATION)
_PART = re.compile(r"(\d+)(ms|[ywdhms])")


class DurationError(ValueError):
    """What stands there is not a duration, or not one that may be divided; the message is one line."""


def milliseconds(text: str) -> int:
    """The length of a duration. Raises DurationError where the text is not one."""
    if text == "0":
        return 0
    if not _WHOLE.fullmatch(text):
        raise DurationError(f"not a duration: {text!r}; write it as 15s, 1m30s or 250ms")
    return sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(text))


def written(length: int) -> str:
    """A number of milliseconds in the largest unit that leaves no rest (never weeks or years)."""
    if length == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if length % _UNITS[unit] == 0:
            return f"{length // _UNITS[unit]}{unit}"
    return f"{length}ms"


def divided(text: str, factor: int) -> str:
    """The duration divided by `factor`, rounded to whole milliseconds, never below one unless it was zero."""
    length = milliseconds(text)
    return written(max(1, round(length / factor)) if length else 0)
