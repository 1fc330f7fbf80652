"""The shapes of load as data: how the rate goes over time, as multiples of the set rate."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

#: Users at multiplier 1, within these bounds: enough to spread evenly, few enough to start at once.
USERS = (5, 50)


@dataclass(frozen=True)
class Shape:
    """Points (seconds, multiplier) over one cycle. Between two points the multiplier goes in a straight line.

    A cycle that repeats starts over after its last point; one that does not stays there. Two points at the same
    moment make a step.
    """

    summary: str
    points: tuple[tuple[float, float], ...]
    repeats: bool = True

    @property
    def cycle(self) -> float:
        """Seconds of one cycle."""
        return self.points[-1][0]

    def multiplier(self, seconds: float, cycle: float = 0) -> float:
        """The multiplier so many seconds after the start, with the cycle stretched to `cycle` seconds (0: as it is)."""
        moment = seconds * (self.cycle / cycle if cycle else 1)
        moment = moment % self.cycle if self.repeats else min(moment, self.cycle)
        after = bisect_right([at for at, _ in self.points], moment)
        if after == len(self.points):
            return self.points[-1][1]
        (start, low), (end, high) = self.points[after - 1], self.points[after]
        return low + (high - low) * (moment - start) / (end - start)


def _hours(*multipliers: float) -> tuple[tuple[float, float], ...]:
    # A day in 24 minutes: an hour is a minute.
    return tuple((60.0 * hour, value) for hour, value in enumerate((*multipliers, multipliers[0])))


SHAPES = {
    "steady": Shape("the set rate, all the time", ((0, 1), (60, 1))),
    "burst": Shape(
        "ten seconds at eight times the rate every two minutes", ((0, 1), (110, 1), (110, 8), (120, 8))
    ),
    "backlog": Shape(
        "a minute at ten times the rate, more than the workers finish, then nine at half of it to drain",
        ((0, 10), (60, 10), (60, 0.5), (600, 0.5)),
    ),
    "ramp": Shape("from a tenth of the rate to three times it in ten minutes", ((0, 0.1), (600, 3)), repeats=False),
    "day": Shape(
        "a working day in 24 minutes: quiet nights, peaks before noon and in the evening",
        _hours(
            0.3, 0.2, 0.2, 0.2, 0.2, 0.3, 0.5, 0.8, 1.2, 1.6, 2.0, 1.8,
            1.4, 1.3, 1.4, 1.5, 1.5, 1.4, 1.6, 2.0, 1.8, 1.2, 0.8, 0.5,
        ),
    ),
}  # fmt: skip


def base_users(rate: float) -> int:
    """How many users together make the set rate."""
    low, high = USERS
    return max(low, min(high, round(rate)))


def users(rate: float, multiplier: float) -> int:
    """How many users make `multiplier` times the set rate; never none, so that a run does not look ended."""
    return max(1, round(base_users(rate) * multiplier))
