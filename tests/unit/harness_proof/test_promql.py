"""Which series an expression reads."""

from __future__ import annotations

import pytest

from harness.promql import names


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("queue:length > 100", {"queue:length"}),
        ('sum by (queue) (rate(celery_task_failed_total{name=~"a|b"}[5m])) / 2', {"celery_task_failed_total"}),
        ("a unless on (queue) (b > 0) and on () c offset 5m", {"a", "b", "c"}),
        ('label_replace(x, "queue", "$1", "queue_name", "(.+)")', {"x"}),
        ("max_over_time(job:rate5m[1h:30s]) # not this", {"job:rate5m"}),
        ("vector(1)", set()),
        ("time() - last > +Inf", {"last"}),
        ('a * on (queue) group_left (severity) b{queue!=""}', {"a", "b"}),
    ],
)
def test_names(expression: str, expected: set[str]) -> None:
    assert names(expression) == expected
