"""The series that an alert is made of, through every recording rule beneath it."""

from __future__ import annotations

from collections.abc import Iterable

from harness.clients import Prometheus
from harness.promql import names

_LIMIT = 60


def series_of(prometheus: Prometheus, alerts: Iterable[str]) -> list[str]:
    """The alerts' own expressions, and the names of the series in them and in the rules that record those."""
    expressions: dict[str, list[str]] = {}
    for rule in prometheus.rules():
        expressions.setdefault(rule["name"], []).append(rule["query"])
    wanted = list(alerts)
    found = [expression for name in wanted for expression in expressions.get(name, [])]
    seen: dict[str, None] = {}
    for name in wanted:  # grows while it is walked
        for expression in expressions.get(name, []):
            for inner in sorted(names(expression)):
                if inner not in seen and len(seen) < _LIMIT:
                    seen[inner] = None
                    wanted.append(inner)
    return [*found, *seen]
