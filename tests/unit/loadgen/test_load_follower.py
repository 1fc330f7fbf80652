"""The follower: every published task ends in exactly one report, whatever the store of results does."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import gevent
import pytest

from loadgen.follower import BATCH, Follower, NoResult, Outcome


class Results:
    """A store of results that the test fills."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.asked: list[Sequence[str]] = []
        self.error: Exception | None = None

    def __call__(self, task_ids: Sequence[str]) -> Mapping[str, Outcome]:
        self.asked.append(task_ids)
        if self.error:
            raise self.error
        return {task_id: self.outcomes[task_id] for task_id in task_ids if task_id in self.outcomes}


@pytest.fixture
def results() -> Results:
    return Results()


@pytest.fixture
def reports() -> list[tuple[str, float, str]]:
    return []


@pytest.fixture
def follower(results: Results, reports: list[tuple[str, float, str]]) -> Follower:
    def report(name: str, seconds: float, error: Exception | None) -> None:
        reports.append((name, round(seconds, 3), f"{type(error).__name__}: {error}" if error else ""))

    return Follower(results, report, timeout=60, limit=1_000)


def test_a_result_is_reported_once_with_its_age(follower: Follower, results: Results, reports: list) -> None:
    now = time.monotonic()
    follower.follow("a", "charge", now)
    follower.look(now + 1)
    results.outcomes["a"] = Outcome()
    follower.look(now + 3)
    follower.look(now + 9)
    assert reports == [("charge", 3.0, "")]
    assert follower.waiting == 0


def test_a_failure_is_reported_by_its_kind(follower: Follower, results: Results, reports: list) -> None:
    now = time.monotonic()
    follower.follow("a", "charge", now)
    results.outcomes["a"] = Outcome(error="CardDeclined", then="b", then_name="order")
    follower.look(now + 1)
    assert reports == [("charge", 1.0, "TaskFailed: CardDeclined")]
    assert follower.waiting == 0


def test_the_last_step_is_timed_from_the_first_publish(follower: Follower, results: Results, reports: list) -> None:
    now = time.monotonic()
    follower.follow("a", "accept", now)
    results.outcomes["a"] = Outcome(then="b", then_name="order")
    follower.look(now + 1)
    results.outcomes["b"] = Outcome()
    follower.look(now + 7)
    assert reports == [("accept", 1.0, ""), ("order", 7.0, "")]


def test_a_task_without_result_is_reported_and_forgotten(follower: Follower, reports: list) -> None:
    now = time.monotonic()
    follower.follow("a", "charge", now)
    follower.look(now + 59)
    assert (follower.waiting, reports) == (1, [])
    follower.look(now + 62)
    assert (follower.waiting, reports) == (0, [("charge", 62.0, f"{NoResult.__name__}: within 60 s")])


def test_a_failing_store_loses_no_task(follower: Follower, results: Results, reports: list) -> None:
    now = time.monotonic()
    follower.follow("a", "charge", now)
    results.error = ConnectionError("gone")
    follower.look(now + 1)
    assert follower.waiting == 1
    results.error = None
    results.outcomes["a"] = Outcome()
    follower.look(now + 5)
    assert reports == [("charge", 5.0, "")]


def test_old_tasks_are_asked_for_less_often_than_young_ones(follower: Follower, results: Results) -> None:
    now = time.monotonic()
    follower.follow("a", "charge", now)
    for tenth in range(1, 501):
        follower.look(now + tenth / 10)
    first, last = len(results.asked[:50]), len(results.asked)
    assert first == 50
    assert last < 150, "a task was asked for ten times a second for 50 seconds"


def test_many_tasks_are_asked_for_in_bounded_batches(follower: Follower, results: Results) -> None:
    now = time.monotonic()
    for number in range(BATCH + 1):
        follower.follow(str(number), "charge", now)
    follower.look(now + 1)
    assert [len(asked) for asked in results.asked] == [BATCH]


def test_beyond_the_limit_tasks_are_counted_and_not_followed(results: Results) -> None:
    follower = Follower(results, lambda *_: None, timeout=60, limit=2)
    for task_id in "abc":
        follower.follow(task_id, "charge", time.monotonic())
    assert (follower.waiting, follower.not_followed) == (2, 1)


def test_tasks_being_asked_for_are_still_awaited() -> None:
    answer = gevent.event.Event()

    def slow(task_ids: Sequence[str]) -> Mapping[str, Outcome]:
        answer.wait()
        return dict.fromkeys(task_ids, Outcome())

    follower = Follower(slow, lambda *_: None, timeout=60, limit=10)
    follower.follow("a", "charge", time.monotonic() - 1)
    looking = gevent.spawn(follower.look, time.monotonic() + 1)
    gevent.idle()
    assert follower.waiting == 1
    answer.set()
    looking.join(timeout=30)
    assert follower.waiting == 0
