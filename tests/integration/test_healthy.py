"""A fleet that works wakes nobody: under load, through a rolling restart, through a burst."""

from __future__ import annotations

import time

import pytest

from harness.clients import Prometheus
from harness.probe import Probe
from harness.producer import Producer
from harness.stack import Stack
from harness.wait import Pending, holds, until
from workers.catalogue import ACCEPT_ORDER

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

BURST = 60
FLEET = ("worker", "worker-emails")
# Twelve minutes of production on a clock of 15: longer than the longest `for` that pages.
QUIET_SECONDS = 45.0
# The dead man's switch, which has to fire; and what the clock does to a busy machine, not to a fleet: rules that are
# evaluated fifteen times as often as in production may take longer than their interval.
NOT_COUNTED = {"Watchdog", "PrometheusRulesSlow"}
ACCEPTED = f'sum(celery_task_succeeded_total{{name="{ACCEPT_ORDER.name}"}})'


def loud(prometheus: Prometheus) -> list[str]:
    """The alerts that fire now, but for those that do not count."""
    return [f"{a.name} {a.labels}" for a in prometheus.alerts() if a.state == "firing" and a.name not in NOT_COUNTED]


def test_a_healthy_fleet_pages_nobody(stack: Stack, probe: Probe, producer: Producer) -> None:
    prometheus, inbox = probe.prometheus, probe.inbox
    settled(prometheus)
    began = time.time()
    mark = inbox.last_id()

    for service in FLEET:
        stack.scale(service, 2)
        for copy in stack.replicas(service):
            stack.restart(service, copy)
        stack.scale(service, 1)
    accepted = prometheus.value(ACCEPTED) or 0
    producer.send(ACCEPT_ORDER.queue, BURST, ACCEPT_ORDER.name)
    until(lambda: drained(prometheus, accepted + BURST), "the burst to drain", 120)

    def quiet() -> bool | Pending:
        firing = loud(prometheus)
        return Pending("; ".join(firing)) if firing else True

    holds(quiet, "silence on a healthy fleet", QUIET_SECONDS, interval=0.5)
    # Between two looks nothing fired either: Prometheus kept every evaluation.
    window = int(time.time() - began) + 1
    kinds = "|".join(sorted(NOT_COUNTED))
    fired = prometheus.query(f'count_over_time(ALERTS{{alertstate="firing", alertname!~"{kinds}"}}[{window}s])')
    assert not fired, [sample.labels for sample in fired]
    probe.delivered("Watchdog")
    arrived = {n.name for n in inbox.notifications(mark)}
    assert arrived <= NOT_COUNTED


def settled(prometheus: Prometheus) -> None:
    """Every target answers and tasks succeed on every queue of the sample."""

    def up() -> bool | Pending:
        targets = prometheus.targets()
        down = [f"{t.job} {t.instance}: {t.error or t.health}" for t in targets if t.health != "up"]
        missing = {"celery", "worker", "beat", "prometheus", "alertmanager", "inbox", "loadgen"} - {
            t.job for t in targets
        }
        return not (down or missing) or Pending("; ".join([*down, *sorted(missing)]))

    until(up, "every target to be up", 120)

    def working() -> bool | Pending:
        queues = {sample.labels["queue"] for sample in prometheus.query("job:throughput:rate5m > 0")}
        missing = {"default", "emails", "payments", "reports"} - queues
        return not missing or Pending(f"nothing succeeds on {', '.join(sorted(missing))}")

    until(working, "tasks to succeed on every queue", 120)


def drained(prometheus: Prometheus, accepted: float) -> bool | Pending:
    """So many orders were accepted in all, and hardly anything waits any more."""
    done, waiting = prometheus.value(ACCEPTED) or 0, prometheus.value("sum(queue:length)")
    if waiting is not None and waiting < 5 and done >= accepted:
        return True
    return Pending(f"{done:g} of {accepted:g} orders accepted, {waiting} tasks wait")
