"""What the inbox tells about itself on /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from inbox.store import TABLES

REASONS = (
    "content_type",  # not application/json
    "too_large",  # over the size limit
    "slow",  # the body did not arrive in time
    "not_json",
    "unsupported_version",  # not version 4 of the webhook
    "invalid",  # a field is missing or of the wrong kind
    "overloaded",  # too many at the same time; Alertmanager tries again
    "storage",  # the database refused it; Alertmanager tries again
)


class Metrics:
    """The series of one inbox, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.received = Counter(
            "inbox_notifications_received", "Webhook calls that arrived, taken or not", registry=self.registry
        )
        self.stored = Counter("inbox_notifications_stored", "Webhook calls that were kept", registry=self.registry)
        self.alerts_stored = Counter(
            "inbox_alerts_stored", "Rows written: alerts in kept calls", registry=self.registry
        )
        self.rejected = Counter(
            "inbox_notifications_rejected", "Webhook calls refused, by reason", ["reason"], registry=self.registry
        )
        self.truncated = Counter(
            "inbox_alerts_truncated", "Alerts that Alertmanager left out of a call (max_alerts)", registry=self.registry
        )
        self.last = Gauge(
            "inbox_last_notification_timestamp_seconds",
            "When the last kept notification arrived; 0 before the first",
            registry=self.registry,
        )
        self.rows = Gauge("inbox_rows", "Rows in the database", ["table"], registry=self.registry)
        self.dropped = Counter(
            "inbox_rows_dropped", "Oldest rows dropped at the row limit", ["table"], registry=self.registry
        )
        # Every label value is there from the start, so that the first rejection is an increase.
        for reason in REASONS:
            self.rejected.labels(reason)
        for table in TABLES:
            self.dropped.labels(table)
