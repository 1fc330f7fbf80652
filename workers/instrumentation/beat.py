"""Beat: when it last turned, and when each entry last ran."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from workers.instrumentation.broker import Broker
from workers.instrumentation.canary import TASK as CANARY_TASK
from workers.instrumentation.health import Check, Health
from workers.instrumentation.verdict import Verdict

#: A turn may be this much later than the longest sleep between two before beat counts as hung.
SLACK_SECONDS = 20.0


class BeatState(Collector):
    """Watches one beat service by wrapping its scheduler's tick, and serves what it saw."""

    def __init__(self, app: Any, service: Any) -> None:
        self._app, self._service = app, service
        self._ticked_at = time.time()
        self._turned_at = time.monotonic()
        self._sent: dict[str, float] = {}
        scheduler = service.scheduler
        tick = scheduler.tick

        def watched(*args: Any, **kwargs: Any) -> Any:
            try:
                return tick(*args, **kwargs)
            finally:
                self._ticked_at, self._turned_at = time.time(), time.monotonic()

        scheduler.tick = watched

    def published(self, sender: str = "", routing_key: str = "", **_: Any) -> None:
        """Handler of ``after_task_publish``: note when a canary went out to a queue."""
        if sender == CANARY_TASK:
            self._sent[routing_key] = time.time()

    def health(self, broker: Broker) -> Health:
        """Liveness is turning; readiness is a broker that answers, too."""
        beat = Check("beat", self._beat)
        return Health([beat], [beat, Check("broker", broker.verdict)])

    def _beat(self) -> Verdict:
        silent = time.monotonic() - self._turned_at
        longest = float(self._service.scheduler.max_interval or 0) + SLACK_SECONDS
        return Verdict(silent < longest, f"turned {silent:.1f} s ago; {longest:.0f} s are allowed")

    def describe(self) -> list[Any]:
        """Nothing: the schedule is not loaded yet."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(
            "beat_last_tick_timestamp_seconds",
            "When beat last looked what is due, in seconds since the epoch.",
            value=self._ticked_at,
        )
        last = GaugeMetricFamily(
            "beat_entry_last_run_timestamp_seconds",
            "When beat last sent this entry, in seconds since the epoch; before that, when it first saw it.",
            labels=["entry"],
        )
        interval = GaugeMetricFamily(
            "beat_entry_interval_seconds",
            "Seconds from this entry's last run to the next that is due.",
            labels=["entry"],
        )
        for name, entry in list(self._service.scheduler.schedule.items()):
            if entry.last_run_at is None:
                continue
            last.add_metric([name], entry.last_run_at.timestamp())
            interval.add_metric([name], _interval(entry))
        yield last
        yield interval
        canary = GaugeMetricFamily(
            "canary_last_sent_timestamp_seconds",
            "When a canary was last published to this queue, in seconds since the epoch.",
            labels=["queue"],
        )
        for queue, at in sorted(self._sent.items()):
            canary.add_metric([queue], at)
        yield canary


def _interval(entry: Any) -> float:
    """Seconds between the entry's last run and the next one due, for an interval and a crontab alike."""
    every = getattr(entry.schedule, "run_every", None)
    if every is not None:
        return float(every.total_seconds())
    due = entry.schedule.now() + entry.schedule.remaining_estimate(entry.last_run_at)
    return max(0.0, float((due - entry.last_run_at).total_seconds()))
