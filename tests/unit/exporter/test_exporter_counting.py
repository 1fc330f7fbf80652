"""Every kind of end a task can come to, under a real worker: counted once, on its queue, under its true cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from shopfleet import LONG, Fleet

from harness.private_exporter import total
from harness.wait import until

pytestmark = [pytest.mark.redis]


def test_successes_on_two_queues_are_told_apart_by_queue(fleet: Fleet) -> None:
    for queue, count in (("celery", 3), ("other", 5)):
        for _ in range(count):
            fleet.send("shop.add", queue=queue)
    for queue, count in (("celery", 3), ("other", 5)):
        for metric in ("sent", "received", "started", "succeeded"):
            fleet.until_total(count, f"celery_task_{metric}_total", name="shop.add", queue_name=queue)
        fleet.until_total(count, "celery_task_queue_wait_time_count", name="shop.add", queue_name=queue)
        fleet.until_total(count, "celery_task_runtime_count", name="shop.add", queue_name=queue)
        fleet.until_total(count, "celery_task_finished_total", name="shop.add", queue_name=queue, outcome="succeeded")


@pytest.mark.parametrize(
    ("task", "error"),
    [
        ("shop.fail", "ValueError"),
        ("shop.fail_oddly", "OddError"),
        ("shop.die", "WorkerLostError"),
        ("shop.overrun", "TimeLimitExceeded"),
    ],
)
def test_a_failure_is_counted_once_under_the_true_class(fleet: Fleet, task: str, error: str) -> None:
    fleet.send(task)
    fleet.until_total(1, "celery_task_failed_total", name=task, exception=error)
    # Whatever else the worker says about the same task comes before the next one ends.
    fleet.send("shop.ignore")
    fleet.send("shop.fail")
    until(lambda: fleet.exporter.total("celery_task_failures_total", name="shop.fail") >= 1, "the next failure", LONG)
    series = fleet.exporter.series()
    assert total(series, "celery_task_failed_total", name=task) == total(
        series, "celery_task_failed_total", name=task, exception=error
    )
    if task != "shop.fail":
        assert total(series, "celery_task_failures_total", name=task) == 1
        assert total(series, "celery_task_finished_total", name=task) == 1
    assert "hunter2" not in fleet.exporter.text()


def test_retries_are_attempts_of_one_task(fleet: Fleet) -> None:
    fleet.send("shop.again", queue="other")
    fleet.until_total(1, "celery_task_failures_total", name="shop.again", queue_name="other")
    series = fleet.exporter.series()
    for metric, labels, value in (
        ("celery_task_started_total", {}, 3),
        ("celery_task_attempts_total", {"kind": "first"}, 1),
        ("celery_task_attempts_total", {"kind": "retry"}, 2),
        ("celery_task_attempts_total", {"kind": "redelivered"}, 0),
        ("celery_task_retried_total", {}, 2),
        ("celery_task_retries_total", {"exception": "KeyError"}, 2),
        ("celery_task_finished_total", {"outcome": "failed"}, 1),
        ("celery_task_finished_total", {}, 1),
    ):
        assert total(series, metric, name="shop.again", queue_name="other", **labels) == value, (metric, labels)


def test_a_poison_pill_shows_as_requeues_and_redeliveries(fleet: Fleet, tmp_path: Path) -> None:
    fleet.send("shop.poison", str(tmp_path / "deaths"))
    fleet.until_total(1, "celery_task_succeeded_total", name="shop.poison")
    series = fleet.exporter.series()
    assert total(series, "celery_task_rejections_total", name="shop.poison", requeue="true") == 2
    assert total(series, "celery_task_rejections_total", name="shop.poison", requeue="false") == 0
    assert total(series, "celery_task_attempts_total", name="shop.poison", kind="redelivered") == 2
    assert total(series, "celery_task_attempts_total", name="shop.poison", kind="first") == 1
    assert total(series, "celery_task_finished_total", name="shop.poison") == 1
    assert total(series, "celery_task_failures_total", name="shop.poison") == 0
    assert total(series, "celery_worker_children_lost_total") >= 2


def test_a_rejection_for_good_is_an_end(fleet: Fleet) -> None:
    fleet.send("shop.reject")
    fleet.until_total(1, "celery_task_rejections_total", name="shop.reject", requeue="false")
    fleet.until_total(1, "celery_task_finished_total", name="shop.reject", outcome="rejected")


def test_revocations_have_their_reasons(fleet: Fleet, tmp_path: Path) -> None:
    fleet.send("shop.add", expires=datetime.now(UTC) - timedelta(hours=1), queue="celery")
    fleet.until_total(1, "celery_task_revocations_total", reason="expired")
    marker = tmp_path / "go"
    running = fleet.send("shop.wait", str(marker))
    started = {"name": "shop.wait"}
    until(lambda: fleet.exporter.total("celery_task_started_total", **started) >= 1, "the task to start", LONG)
    fleet.producer.control.revoke(running.id, terminate=True, signal="SIGKILL")
    fleet.until_total(1, "celery_task_revocations_total", name="shop.wait", reason="terminated")
    later = fleet.send("shop.wait", str(marker), countdown=3600)
    until(lambda: fleet.exporter.total("celery_task_received_total", **started) >= 2, "the task to be held", LONG)
    fleet.producer.control.revoke(later.id)
    # A plain revocation is noticed when the task falls due; one that falls due at once is noticed at once.
    soon = fleet.send("shop.add", task_id=later.id)
    assert soon.id == later.id
    until(lambda: fleet.exporter.total("celery_task_revocations_total", reason="revoked") >= 1, "the revocation", LONG)
    assert fleet.exporter.total("celery_task_revoked_total") == fleet.exporter.total("celery_task_revocations_total")


def test_the_wait_of_a_delayed_task_begins_at_its_eta(fleet: Fleet) -> None:
    fleet.send("shop.ignore", countdown=3, queue="other")
    fleet.until_total(1, "celery_task_queue_wait_time_count", name="shop.ignore", queue_name="other")
    assert fleet.exporter.total("celery_task_queue_wait_time_sum", name="shop.ignore", queue_name="other") < 2.5


def test_the_longest_running_task_has_an_age_until_it_ends(fleet: Fleet, tmp_path: Path) -> None:
    marker = tmp_path / "go"
    fleet.send("shop.wait", str(marker), queue="other")
    labels = {"name": "shop.wait", "queue_name": "other"}
    metric = "celery_task_longest_running_seconds"
    until(lambda: fleet.exporter.total(metric, **labels) > 1, "the task to be seen running", LONG)
    marker.touch()
    fleet.until_total(1, "celery_task_succeeded_total", **labels)
    assert fleet.exporter.total(metric, **labels) == 0


def test_what_is_known_of_a_task_is_there_at_zero(fleet: Fleet) -> None:
    fleet.send("shop.nobody_has_this", queue="nowhere")
    labels = {"name": "shop.nobody_has_this", "queue_name": "nowhere"}
    fleet.until_total(1, "celery_task_sent_total", **labels)
    found = {
        (metric, dict(has).get("exception"))
        for (metric, has), value in fleet.exporter.series().items()
        if set(labels.items()) <= has and value == 0
    }
    for metric in ("received", "started", "succeeded", "rejected", "revoked", "retried", "failures"):
        assert (f"celery_task_{metric}_total", None) in found
    assert ("celery_task_failed_total", "") in found


def test_nothing_was_lost_or_guessed(fleet: Fleet) -> None:
    series = fleet.exporter.series()
    assert total(series, "celery_exporter_unattributed_total") == 0
    assert total(series, "celery_exporter_events_dropped_total") == 0
    assert total(series, "celery_worker_events_lost_total") == 0
