"""Running one scenario: break, see it fire, see it arrive, mend, see it clear."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from harness import evidence, faults
from harness.clients import Notification, carries
from harness.concerned import series_of
from harness.durations import divided
from harness.paths import EVIDENCE
from harness.probe import Probe
from harness.producer import Producer
from harness.promql import rescale
from harness.stack import Stack
from harness.wait import Pending, until
from tests.integration.feeding import Feeder
from tests.integration.scenario import Scenario

BASELINE_SECONDS = 90.0
RUN = time.strftime("trials-%Y%m%d-%H%M%S")
# Several Python programs that start at once on two cores all start late.
_STARTING = threading.BoundedSemaphore(3)


@dataclass
class Outcome:
    """What came of a scenario. Times are seconds since the fault, and of `resolved` since healing."""

    scenario: Scenario
    fired: float | None = None
    delivered: float | None = None
    resolved: float | None = None
    notifications: list[Notification] = field(default_factory=list)
    error: BaseException | None = None
    disturbed: str = ""  # what went wrong side by side with others, where this is the outcome of a second try, alone


def run(stack: Stack, probe: Probe, producer: Producer, scenario: Scenario) -> Outcome:
    """Try one scenario from a healthy state back to one. What went wrong is in the outcome, not raised."""
    outcome = Outcome(scenario)
    try:
        with contextlib.ExitStack() as cleanup:
            values = _set_up(stack, probe, producer, scenario, cleanup)
            _try(stack, probe, scenario, outcome, values)
    except BaseException as error:
        outcome.error = error
    return outcome


def _set_up(
    stack: Stack, probe: Probe, producer: Producer, scenario: Scenario, cleanup: contextlib.ExitStack
) -> dict[str, str]:
    """Start the scenario's worker and feed, and wait until Prometheus sees both."""
    values = {"queue": scenario.queue, "worker": scenario.worker}
    if scenario.crew:
        with _STARTING:
            worker = cleanup.enter_context(
                stack.start_worker(
                    scenario.worker,
                    [scenario.queue],
                    pool=scenario.crew.pool,
                    concurrency=scenario.crew.concurrency,
                    env=scenario.crew.environment,
                    command_extra=scenario.crew.arguments,
                )
            )
        values["node"] = worker.node
        _seen(probe, f'celery_worker_up{{worker="{worker.node}"}} == 1')
        _seen(probe, f'celery_active_worker_count{{queue_name="{scenario.queue}"}} > 0')
    if scenario.baseline:
        _seen(probe, rescale(scenario.baseline, lambda duration: divided(duration, stack.factor)))
    if scenario.feed:
        cleanup.enter_context(Feeder(producer, scenario.queue, scenario.feed))
        if scenario.crew:
            _seen(probe, f'rate(celery_task_succeeded_total{{queue_name="{scenario.queue}"}}[10s]) > 0')
    return values


def _try(stack: Stack, probe: Probe, scenario: Scenario, outcome: Outcome, values: dict[str, str]) -> None:
    mark = probe.inbox.last_id()
    began = time.time()
    fault = faults.inject(stack, scenario.fault, **filled(scenario.params, values))
    values |= {key: value for key, value in fault.memo.items() if isinstance(value, str)}
    labels = filled(scenario.labels, values)
    try:
        probe.fires(scenario.alert, labels, scenario.within, states=("pending", "firing"))
        probe.fires(scenario.alert, labels, scenario.within)
        outcome.fired = time.time() - began
        first = probe.delivered(scenario.alert, labels, scenario.within, mark)
        outcome.delivered = first.received_at - began
        for name, more in scenario.also.items():
            probe.delivered(name, filled(more, values), scenario.within, mark)
        for name, more in scenario.inhibited.items():
            held_back(probe, name, filled(more, values), scenario.within)
    except BaseException:
        keep_evidence(stack, probe, scenario, began)
        raise
    finally:
        healing = time.time()
        faults.heal(stack, fault)
    ended = probe.resolves(scenario.alert, labels, scenario.clears_within, first.id)
    assert ended is not None
    outcome.resolved = ended.received_at - healing
    outcome.notifications = [n for n in probe.inbox.notifications(mark) if concerns(n, scenario, values)]
    check_text(first, scenario)
    check_others(outcome, scenario, labels)


def keep_evidence(stack: Stack, probe: Probe, scenario: Scenario, since: float) -> None:
    """What there is to see while the fault is still there."""
    series = series_of(probe.prometheus, [scenario.alert, *scenario.also])
    evidence.keep(stack, EVIDENCE / RUN / scenario.name, ["up", *series], since)


def held_back(probe: Probe, name: str, labels: dict[str, str], within: float) -> None:
    """Wait until Alertmanager holds such an alert back because of another."""
    assert probe.alertmanager is not None
    alertmanager = probe.alertmanager

    def check() -> bool | Pending:
        found = alertmanager.alerts(name, labels)
        return any(alert.inhibited_by for alert in found) or Pending(f"{[alert.state for alert in found]}")

    until(check, f"{name} to be inhibited", within)


def concerns(notification: Notification, scenario: Scenario, values: dict[str, str]) -> bool:
    """Whether a notification is about the scenario: its queue, its worker, or all, where it runs alone."""
    if notification.name in {"Watchdog", "PrometheusRulesSlow"}:
        return False
    named = set(notification.labels.values())
    return (
        scenario.alone
        or scenario.queue in named
        or values.get("node", "") in named - {""}
        or carries(notification.labels, {"alertname": scenario.alert, **filled(scenario.labels, values)})
    )


def check_text(notification: Notification, scenario: Scenario) -> None:
    """Labels and annotations are those of a page that somebody can act on."""
    assert notification.labels["severity"] == scenario.severity
    assert notification.labels["component"]
    texts = notification.annotations
    assert {"summary", "description", "runbook_url", "dashboard_url"} <= set(texts), texts
    text = f"{texts['summary']} {texts['description']}"
    assert texts["runbook_url"].endswith(scenario.alert), texts["runbook_url"]
    assert not re.search(r"<no value>|<error|%!|NaN|\+Inf", text), text
    for label in ("queue", "task", "worker"):
        if label in scenario.labels:
            assert notification.labels[label] in text, f"{label} is not named in: {text}"
    if scenario.severity == "critical":
        assert re.search(r"\d", text), f"no size of the problem in: {text}"
        assert "First:" in text, f"no first step in: {text}"


def check_others(outcome: Outcome, scenario: Scenario, labels: dict[str, str]) -> None:
    """One page for one fault, and none of the alerts that must stay silent."""
    pages = {(n.name, tuple(sorted(n.labels.items()))) for n in outcome.notifications if _page(n)}
    expected = {scenario.alert} if scenario.severity == "critical" else set()
    assert {name for name, _ in pages} <= expected, f"pages besides {scenario.alert}: {sorted(n for n, _ in pages)}"
    assert len(pages) <= 1, f"{len(pages)} pages for one fault: {sorted(pages)}"
    loud = {n.name for n in outcome.notifications} & {*scenario.silent, *scenario.inhibited}
    assert not loud, f"must stay silent in {scenario.name}: {sorted(loud)}"
    assert labels


def _page(notification: Notification) -> bool:
    return notification.status == "firing" and notification.labels.get("severity") == "critical"


def filled(items: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    """The items with {queue}, {worker} and {node} replaced."""
    return {key: value.format_map(values) if isinstance(value, str) else value for key, value in items.items()}


def _seen(probe: Probe, expression: str) -> None:
    def check() -> bool | Pending:
        return bool(probe.prometheus.query(expression)) or Pending("no such series")

    until(check, f"Prometheus to see {expression}", BASELINE_SECONDS)


@contextlib.contextmanager
def producing(stack: Stack) -> Iterator[Producer]:
    """A producer for the stack's broker."""
    producer = Producer(stack.broker_url())
    try:
        yield producer
    finally:
        producer.close()
