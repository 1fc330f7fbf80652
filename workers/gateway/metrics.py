"""The gateway's series."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from workers.gateway.drainer import Drainer
from workers.gateway.outbox import Outbox

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class OutboxState(Collector):
    """How much waits in the outbox and how it drains, as of the scrape."""

    def __init__(self, outbox: Outbox, drainer: Drainer) -> None:
        self._outbox, self._drainer = outbox, drainer

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("outbox_rows", "Orders accepted and not yet published.", value=self._outbox.depth())
        yield GaugeMetricFamily(
            "outbox_oldest_age_seconds",
            "Seconds since the oldest order that is not published was accepted; 0 where none waits.",
            value=self._outbox.oldest_age(),
        )
        yield CounterMetricFamily("outbox_published_total", "Orders published.", value=self._drainer.sent)
        yield CounterMetricFamily(
            "outbox_publish_failures_total",
            "Times that the broker did not take an order.",
            value=self._drainer.failures,
        )


class GatewayMetrics:
    """What the gateway counts itself, and the registry that holds all."""

    def __init__(self, outbox: Outbox, drainer: Drainer) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(OutboxState(outbox, drainer))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.orders = Counter(
            "gateway_orders_total",
            "Orders by outcome: accepted, invalid, or refused because the gateway could not keep them.",
            ["outcome"],
            registry=self.registry,
        )
        for outcome in ("accepted", "invalid", "refused"):
            self.orders.labels(outcome)
        self.requests = Counter(
            "http_requests_total",
            "Requests by route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.durations = Histogram(
            "http_request_duration_seconds",
            "Seconds from a request's arrival to its answer.",
            ["route"],
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
