"""The attribution of events to tasks and queues, in every order, on made-up events."""

from __future__ import annotations

import json
import random
from typing import Any
from uuid import uuid4

import pytest

from exporter.attribution import QueueGuess
from exporter.births import Births
from exporter.config import DEFAULT_BUCKETS, DEFAULT_WAIT_BUCKETS
from exporter.events import decode
from exporter.task_handlers import TaskHandlers
from exporter.task_memory import TaskMemory
from exporter.task_series import SeriesBook
from exporter.tasks import TaskTracker
from exporter.workers import Life, Worker, WorkerTable

WALL = 1_700_000_000.0
WORKER = "one@host"


class Bookkeeper:
    """A tracker that is fed with events as dictionaries, on a clock that the test moves."""

    def __init__(self, *, max_tasks: int = 1000, ttl: float = 3600, limit: int = 100, by_host: bool = False) -> None:
        births = Births()
        self.book = SeriesBook(
            births=births,
            buckets=DEFAULT_BUCKETS,
            wait_buckets=DEFAULT_WAIT_BUCKETS,
            static={},
            limit=limit,
            by_host=by_host,
        )
        self.memory = TaskMemory(max_tasks=max_tasks, ttl=ttl)
        self.handlers = TaskHandlers(book=self.book, guess=QueueGuess("celery"), memory=self.memory, grace=2.0)
        self.workers = WorkerTable(
            births=births, static={}, limit=50, timeout=None, missed_heartbeats=5, purge_after=600
        )
        self.workers.gone = lambda worker: self.memory.worker_gone(worker, WALL + self.now)
        self.tracker = TaskTracker(self.handlers, self.workers)
        self.now = 0.0
        self.dropped: dict[str, int] = {}

    def hear(self, *events: dict[str, Any], node: str = WORKER) -> None:
        """Receive these events as one message."""
        full = [{"hostname": node, "timestamp": WALL + self.now, "pid": 1, "clock": 1, **event} for event in events]
        body = json.dumps(full if len(full) > 1 else full[0]).encode()
        self.tracker.count(node, decode(body, self.dropped), self.now, WALL + self.now)

    def sent(self, uuid: str, name: str = "a", queue: str = "q", **more: Any) -> None:
        self.hear({"type": "task-sent", "uuid": uuid, "name": name, "queue": queue, **more}, node="gen1@client")

    def at_work(self, uuid: str, name: str = "a", end: str = "task-succeeded", node: str = WORKER, **more: Any) -> None:
        """The events of one whole attempt, in one message."""
        self.hear(
            {"type": "task-received", "uuid": uuid, "name": name, **more},
            {"type": "task-started", "uuid": uuid},
            {"type": end, "uuid": uuid, "runtime": 0.1},
            node=node,
        )

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.tracker.tick(self.now, WALL + self.now)

    def queues(self, counter: str) -> dict[str, int]:
        """A counter by queue, without zeros."""
        found: dict[str, int] = {}
        for (_, queue), series in self.book.series.items():
            if series.total(counter):
                found[queue] = found.get(queue, 0) + series.total(counter)
        return found


@pytest.fixture
def keeper() -> Bookkeeper:
    return Bookkeeper()


def test_an_announcement_may_come_after_everything_else(keeper: Bookkeeper) -> None:
    keeper.at_work("u1")
    keeper.pass_time(0.5)
    assert keeper.queues("succeeded") == {}
    keeper.sent("u1")
    assert keeper.queues("succeeded") == {"q": 1}
    assert keeper.queues("received") == {"q": 1}
    assert keeper.handlers.unattributed == 0
    (series,) = keeper.book.series.values()
    assert sum(series.hosts[""].wait.counts) == 1


def test_an_announcement_may_come_in_the_middle(keeper: Bookkeeper) -> None:
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"})
    keeper.sent("u1")
    keeper.hear({"type": "task-started", "uuid": "u1"})
    keeper.hear({"type": "task-succeeded", "uuid": "u1", "runtime": 1.0})
    assert [keeper.queues(c) for c in ("received", "started", "succeeded")] == [{"q": 1}] * 3
    assert not keeper.memory.waiting
    assert not keeper.memory.running


def test_every_order_of_a_tasks_events_counts_the_same(keeper: Bookkeeper) -> None:
    rng = random.Random(7)
    steps = [
        keeper.sent,
        lambda u: keeper.hear({"type": "task-received", "uuid": u, "name": "a"}),
        lambda u: keeper.hear({"type": "task-started", "uuid": u}),
        lambda u: keeper.hear({"type": "task-succeeded", "uuid": u, "runtime": 0.1}),
    ]
    for number in range(200):
        order = [1, 2, 3]
        order.insert(rng.randrange(4), 0)
        for step in order:
            steps[step](f"u{number}")
    assert [keeper.queues(c) for c in ("sent", "received", "started", "succeeded")] == [{"q": 200}] * 4


def test_without_announcements_the_only_queue_of_the_worker_is_taken(keeper: Bookkeeper) -> None:
    keeper.workers.get(WORKER).queues = ("mail",)
    keeper.at_work("u1")
    keeper.pass_time(3)
    assert keeper.queues("succeeded") == {"mail": 1}
    assert keeper.handlers.unattributed == 0


def test_without_any_hint_the_default_queue_is_taken_and_said(keeper: Bookkeeper) -> None:
    keeper.workers.get(WORKER).queues = ("mail", "bulk")
    keeper.at_work("u1")
    keeper.pass_time(3)
    assert keeper.queues("succeeded") == {"celery": 1}
    assert keeper.handlers.unattributed == 1


def test_a_name_that_only_ever_went_to_one_queue_is_put_there(keeper: Bookkeeper) -> None:
    keeper.sent("u0", queue="q9")
    keeper.at_work("u1")
    keeper.pass_time(3)
    assert keeper.queues("succeeded") == {"q9": 1}


def test_fleets_that_announce_nothing_are_not_waited_for(keeper: Bookkeeper) -> None:
    keeper.at_work("u1")
    keeper.pass_time(3)
    keeper.at_work("u2")
    assert keeper.queues("succeeded") == {"celery": 2}
    # Once somebody announces, waiting makes sense again.
    keeper.sent("u3")
    keeper.at_work("u4")
    assert keeper.queues("succeeded") == {"celery": 2}


def test_a_second_end_is_a_duplicate(keeper: Bookkeeper) -> None:
    keeper.sent("u1")
    keeper.at_work("u1", end="task-failed", exception="TimeLimitExceeded(1)")
    keeper.hear({"type": "task-failed", "uuid": "u1", "exception": "TimeLimitExceeded(1)"})
    assert keeper.queues("failed") == {"q": 1}
    assert keeper.handlers.duplicates == 1


def test_a_finished_task_that_runs_again_is_an_attempt_but_no_task(keeper: Bookkeeper) -> None:
    keeper.sent("u1")
    keeper.at_work("u1")
    keeper.at_work("u1", node="two@host")
    (series,) = keeper.book.series.values()
    assert series.total("succeeded") == 2
    assert series.again_succeeded == 1
    assert series.attempts_redelivered == 1


def test_a_task_of_a_lost_worker_runs_again_elsewhere(keeper: Bookkeeper) -> None:
    keeper.hear({"type": "worker-online", "freq": 2.0, "processed": 0})
    keeper.sent("u1")
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"})
    keeper.hear({"type": "task-started", "uuid": "u1"})
    assert len(keeper.memory.longest_running(5.0)) == 1
    keeper.now = 30.0
    keeper.workers.tick(keeper.now)
    assert keeper.workers.lost_total == 1
    assert keeper.memory.longest_running(30.0) == {}
    keeper.at_work("u1", node="two@host")
    (series,) = keeper.book.series.values()
    assert (series.attempts_redelivered, series.again_succeeded, series.total("succeeded")) == (1, 0, 1)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_message_that_comes_again_while_its_task_runs_is_told_from_a_retry(keeper: Bookkeeper, retries: int) -> None:
    keeper.sent("u1")
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"})
    keeper.hear({"type": "task-started", "uuid": "u1"})
    # No announcement in between: a client that sends none, or no publication at all.
    keeper.at_work("u1", node="two@host", retries=retries)
    (series,) = keeper.book.series.values()
    assert (series.attempts_retry, series.attempts_redelivered) == (retries, 1 - retries)


def test_a_retry_is_no_redelivery_whatever_overtakes_what(keeper: Bookkeeper) -> None:
    keeper.sent("u1")
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"})
    keeper.hear({"type": "task-started", "uuid": "u1"})
    keeper.sent("u1", retries=1)
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a", "retries": 1}, node="two@host")
    keeper.hear({"type": "task-retried", "uuid": "u1", "exception": "KeyError('x')"})
    keeper.hear({"type": "task-started", "uuid": "u1"}, node="two@host")
    keeper.hear({"type": "task-succeeded", "uuid": "u1", "runtime": 0.1}, node="two@host")
    (series,) = keeper.book.series.values()
    assert (series.attempts_retry, series.attempts_redelivered, series.total("retried")) == (1, 0, 1)
    assert not keeper.memory.waiting


def test_news_of_a_retry_may_come_after_the_end_of_the_last_attempt(keeper: Bookkeeper) -> None:
    keeper.sent("u1")
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"}, {"type": "task-started", "uuid": "u1"})
    keeper.sent("u1", retries=1)
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a", "retries": 1})
    keeper.hear({"type": "task-started", "uuid": "u1"}, {"type": "task-succeeded", "uuid": "u1", "runtime": 0.1})
    keeper.hear({"type": "task-retried", "uuid": "u1", "exception": "KeyError('x')"})
    (series,) = keeper.book.series.values()
    assert (series.total("succeeded"), series.total("retried")) == (1, 1)
    assert not keeper.memory.waiting
    assert not keeper.handlers.held.tasks


def test_a_retry_may_be_announced_before_the_start_of_the_attempt_before_it_is_told(keeper: Bookkeeper) -> None:
    keeper.sent("u1")
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"})
    for attempt in (1, 2):
        keeper.sent("u1", retries=attempt)
        keeper.hear({"type": "task-started", "uuid": "u1"})
        keeper.hear({"type": "task-received", "uuid": "u1", "name": "a", "retries": attempt})
        keeper.hear({"type": "task-retried", "uuid": "u1", "exception": "KeyError('x')"})
    keeper.hear({"type": "task-started", "uuid": "u1"}, {"type": "task-succeeded", "uuid": "u1", "runtime": 0.1})
    (series,) = keeper.book.series.values()
    assert (series.attempts_retry, series.attempts_redelivered, series.total("started")) == (2, 0, 3)
    assert series.total("retried") == 2
    assert not keeper.memory.waiting
    assert not keeper.memory.ahead
    assert keeper.workers.get(WORKER).reserved == 0


def test_an_announcement_laid_aside_is_taken_up_though_the_start_before_it_is_lost(keeper: Bookkeeper) -> None:
    keeper.sent("u1")
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"})
    keeper.sent("u1", retries=1)
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a", "retries": 1})
    keeper.hear({"type": "task-started", "uuid": "u1"}, {"type": "task-succeeded", "uuid": "u1", "runtime": 0.1})
    (series,) = keeper.book.series.values()
    assert (series.attempts_retry, series.attempts_redelivered) == (1, 0)
    assert not keeper.memory.ahead
    assert keeper.workers.get(WORKER).reserved == 0


def test_a_task_that_rejects_itself_is_rejected_and_has_not_failed(keeper: Bookkeeper) -> None:
    keeper.sent("u1")
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"}, {"type": "task-started", "uuid": "u1"})
    keeper.hear({"type": "task-failed", "uuid": "u1", "exception": "reject requeue=False: no", "traceback": ""})
    keeper.hear({"type": "task-rejected", "uuid": "u1", "requeue": False})
    (series,) = keeper.book.series.values()
    assert (series.failures, series.rejections_dropped) == (0, 1)


def test_clocks_apart_make_no_negative_wait(keeper: Bookkeeper) -> None:
    keeper.sent("u1", timestamp=WALL + 5)
    keeper.at_work("u1")
    (series,) = keeper.book.series.values()
    assert series.hosts[""].wait.counts[0] == 1
    assert series.hosts[""].wait.sum == 0
    assert keeper.handlers.negative_waits == 1


def test_the_senders_time_zone_does_not_matter(keeper: Bookkeeper) -> None:
    keeper.sent("u1", utcoffset=0.0)
    keeper.now = 1.0
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a", "utcoffset": -9.0})
    keeper.hear({"type": "task-started", "uuid": "u1", "utcoffset": -9.0})
    (series,) = keeper.book.series.values()
    assert series.hosts[""].wait.sum == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("announced", "received"),
    [("2023-11-15T07:13:30+09:00", None), (None, "2023-11-14T22:13:30+00:00"), ("2023-11-14T22:13:30", None)],
)
def test_an_eta_in_any_zone_is_when_the_wait_begins(
    keeper: Bookkeeper, announced: str | None, received: str | None
) -> None:
    keeper.sent("u1", eta=announced)  # 10 s after WALL
    keeper.now = 12.0
    keeper.at_work("u1", eta=received)
    (series,) = keeper.book.series.values()
    assert series.hosts[""].wait.sum == pytest.approx(2.0)


def test_memory_is_bounded_and_the_oldest_tasks_keep_their_place() -> None:
    keeper = Bookkeeper(max_tasks=100)
    for number in range(500):
        keeper.sent(f"u{number}")
    assert len(keeper.memory.waiting) == 80  # nobody has been seen to start this task yet
    assert keeper.memory.untracked == 420
    for number in range(80):
        keeper.at_work(f"u{number}")
    (series,) = keeper.book.series.values()
    assert sum(series.hosts[""].wait.counts) == 80
    assert not keeper.memory.waiting
    keeper.at_work("u499")
    keeper.pass_time(3)
    assert keeper.queues("succeeded") == {"q": 81}


def test_tasks_that_never_end_are_forgotten() -> None:
    keeper = Bookkeeper(ttl=60)
    keeper.sent("u1")
    keeper.sent("u2")
    keeper.hear({"type": "task-received", "uuid": "u2", "name": "a"})
    keeper.hear({"type": "task-started", "uuid": "u2"})
    keeper.pass_time(50)
    assert (len(keeper.memory.waiting), len(keeper.memory.running)) == (1, 1)
    keeper.pass_time(100)
    assert (len(keeper.memory.waiting), len(keeper.memory.running)) == (0, 0)


def test_a_worker_holds_what_it_received_and_did_not_start(keeper: Bookkeeper) -> None:
    keeper.hear({"type": "worker-online", "freq": 2.0, "processed": 0})
    for number in range(5):
        keeper.sent(f"u{number}")
        keeper.hear({"type": "task-received", "uuid": f"u{number}", "name": "a"})
    keeper.hear({"type": "task-started", "uuid": "u0"})
    assert keeper.workers.get(WORKER).reserved == 4
    # Another worker has got one of them: the first has given it back.
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"}, node="two@host")
    assert (keeper.workers.get(WORKER).reserved, keeper.workers.get("two@host").reserved) == (3, 1)
    keeper.pass_time(100)
    assert (keeper.workers.get(WORKER).reserved, keeper.workers.get("two@host").reserved) == (3, 1)


def test_series_are_limited_and_the_rest_is_counted() -> None:
    keeper = Bookkeeper(limit=10)
    for number in range(50):
        keeper.sent(f"u{number}", name=f"task{number}")
        keeper.at_work(f"u{number}", name=f"task{number}", end="task-failed", exception=f"E{number}('x')")
    assert len(keeper.book.series) == 10
    assert keeper.book.refused["task"] == 40


def test_with_host_names_the_sender_and_the_worker_have_their_own_series() -> None:
    keeper = Bookkeeper(by_host=True)
    keeper.sent("u1")
    keeper.at_work("u1", node="one@alpha")
    keeper.sent("u2")
    keeper.at_work("u2", node="two@beta")
    (series,) = keeper.book.series.values()
    found = {host: (s.sent, s.succeeded) for host, s in series.hosts.items()}
    assert found == {"client": (2, 0), "alpha": (0, 1), "beta": (0, 1)}
    assert 'hostname="alpha"' in series.hosts["alpha"].labels


def test_events_without_a_known_task_are_counted_as_unknown(keeper: Bookkeeper) -> None:
    keeper.hear({"type": "task-succeeded", "uuid": str(uuid4()), "runtime": 1.0})
    keeper.pass_time(3)
    assert [(name, queue) for name, queue in keeper.book.series] == [("unknown", "celery")]
    assert keeper.handlers.unattributed == 1


def _mark(worker: Worker) -> tuple[int, bool]:
    return worker.events_lost, worker.events_disabled


def _beat(keeper: Bookkeeper, processed: int, pid: int = 1) -> None:
    keeper.now += 2
    keeper.hear({"type": "worker-heartbeat", "freq": 2.0, "processed": processed, "active": 0, "pid": pid})


def _run(keeper: Bookkeeper, count: int) -> None:
    for _ in range(count):
        uuid = str(uuid4())
        keeper.sent(uuid)
        keeper.at_work(uuid)


def test_starts_that_never_arrived_are_counted_from_the_heartbeats(keeper: Bookkeeper) -> None:
    _beat(keeper, 0)
    for total in (10, 20):
        _run(keeper, 10)
        _beat(keeper, total)
    _run(keeper, 3)
    _beat(keeper, 30)  # seven are missing
    _run(keeper, 1)
    _beat(keeper, 31)
    _run(keeper, 1)
    _beat(keeper, 32)
    assert _mark(keeper.workers.get(WORKER)) == (6, False)  # one of them might have been late
    _beat(keeper, 32)
    assert _mark(keeper.workers.get(WORKER)) == (7, False)
    _beat(keeper, 3, pid=2)  # a new process counts from the beginning
    for total in (4, 5, 6):
        _run(keeper, 1)
        _beat(keeper, total, pid=2)
    assert _mark(keeper.workers.get(WORKER)) == (7, False)


def test_starts_that_are_only_late_are_not_lost(keeper: Bookkeeper) -> None:
    _beat(keeper, 0)
    for total in range(5, 100, 5):
        _beat(keeper, total)  # the heartbeat overtakes the starts
        _run(keeper, 5)
    assert _mark(keeper.workers.get(WORKER)) == (0, False)


def test_a_worker_without_task_events_is_told_from_one_that_loses_them(keeper: Bookkeeper) -> None:
    for total in range(0, 100, 10):
        _beat(keeper, total)
    assert _mark(keeper.workers.get(WORKER)) == (0, True)
    for total in range(100, 105):
        _run(keeper, 1)
        _beat(keeper, total)
    assert _mark(keeper.workers.get(WORKER)) == (0, False)


@pytest.mark.parametrize("pid", [1, 2])
def test_a_worker_that_dies_and_returns_at_once_was_lost_nevertheless(keeper: Bookkeeper, pid: int) -> None:
    _beat(keeper, 0)
    keeper.now += 60
    _beat(keeper, 5)
    keeper.sent("u1")
    keeper.hear({"type": "task-received", "uuid": "u1", "name": "a"})
    keeper.hear({"type": "task-started", "uuid": "u1"})
    _beat(keeper, 0, pid=pid)
    assert keeper.workers.lost_total == 1
    assert keeper.memory.longest_running(keeper.now) == {}
    assert keeper.workers.get(WORKER).life is Life.ALIVE
    # Two workers under one name are no series of deaths.
    for _ in range(5):
        _beat(keeper, 6, pid=7)
        _beat(keeper, 1, pid=8)
    assert keeper.workers.lost_total == 1
