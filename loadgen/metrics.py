"""The load generator's own series, read from locust's statistics at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

QUANTILES = (0.5, 0.95, 0.99)
LABELS = ("step", "task")


class LocustCollector(Collector):
    """Reads a locust environment. Counters start over with each test, as locust's statistics do.

    `waiting` gives the tasks whose results are awaited in this process, and those published but not followed.
    """

    def __init__(
        self, environment: Any, target_rate: Callable[[], float], waiting: Callable[[], tuple[int, int]]
    ) -> None:
        self._environment = environment
        self._target_rate = target_rate
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        """The series now."""
        runner = self._environment.runner
        running = runner is not None and runner.state in ("spawning", "running")
        yield _gauge("loadgen_users", "Users running now", runner.user_count if runner else 0)
        yield _gauge(
            "loadgen_target_rate", "Tasks a second that the shape asks for", self._target_rate() if running else 0
        )
        waiting, not_followed = self._waiting()
        yield _gauge("loadgen_results_awaited", "Published tasks whose results are awaited in this process", waiting)
        yield _counter("loadgen_results_not_followed", "Published tasks whose results are not awaited", not_followed)
        requests = CounterMetricFamily("loadgen_requests", "Publishes, posts and completions", labels=LABELS)
        failures = CounterMetricFamily("loadgen_failures", "Of these, failed", labels=LABELS)
        seconds = CounterMetricFamily("loadgen_seconds", "Time that they took together", labels=LABELS)
        quantiles = GaugeMetricFamily(
            "loadgen_quantile_seconds", "Time that they took since the test began", labels=(*LABELS, "quantile")
        )
        for (name, step), entry in sorted(self._environment.stats.entries.items()):
            requests.add_metric((step, name), entry.num_requests)
            failures.add_metric((step, name), entry.num_failures)
            seconds.add_metric((step, name), entry.total_response_time / 1000)
            for quantile in QUANTILES:
                value = entry.get_response_time_percentile(quantile) / 1000
                quantiles.add_metric((step, name, str(quantile)), value)
        yield from (requests, failures, seconds, quantiles)


def registry(collector: LocustCollector) -> CollectorRegistry:
    """A registry with the load generator's series and those of its process."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    made.register(collector)
    return made


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
