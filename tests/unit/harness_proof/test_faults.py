"""Faults: what can be chosen, what is remembered, what is undone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from harness import faults
from harness.faults import operations
from harness.faults.context import Log, Record
from harness.faults.operations import OPERATIONS, Operation
from harness.faults.run import chosen
from harness.faults.table import NAMES, FaultError
from harness.private_redis import PrivateRedis, private_redis
from workers import faults as workers_faults


@pytest.fixture
def stack(tmp_path: Path) -> Any:
    """As much of a stack as faults need to remember what they did."""
    return SimpleNamespace(run=tmp_path)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with private_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def broken(stack: Any, redis: PrivateRedis) -> Any:
    """A stack with a broker and nothing else."""
    redis.client().flushall()
    stack.broker_url = lambda: redis.url
    return stack


def test_every_fault_can_be_done_and_undone() -> None:
    assert set(OPERATIONS) == set(NAMES)


def test_every_fault_says_what_it_is_in_a_sentence() -> None:
    for fault in NAMES.values():
        assert fault.sentence.endswith("."), fault.name
        assert all(parameter.meaning for parameter in fault.parameters.values())


def test_parameters_take_the_type_of_their_default() -> None:
    assert chosen("backlog", {"size": "12", "seconds": "0.5"}) == {"queue": "default", "size": 12, "seconds": 0.5}


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("backlogg", {}, "there is no such fault; the faults are backlog, "),
        ("backlog", {"sise": 1}, "sise=1: backlog has no such parameter; it takes queue, size, seconds"),
        ("broker-down", {"x": 1}, "it takes none"),
        ("backlog", {"size": "many"}, "size='many': a whole number is expected"),
        ("slow", {"seconds": "long"}, "seconds='long': a number is expected"),
        ("backlog", {"size": -1}, "size=-1: a number from 0 on is expected"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(stack: Any, name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(FaultError, match=re.escape(message)) as caught:
        faults.inject(stack, name, **params)
    assert "\n" not in str(caught.value)
    assert faults.active(stack) == []


def test_a_rate_beyond_one_is_told_in_one_line(broken: Any) -> None:
    with pytest.raises(FaultError, match="fail: fail_rate=2"):
        faults.inject(broken, "fail", rate=2)
    assert faults.active(broken) == []


def test_healing_an_unknown_fault_is_told(stack: Any) -> None:
    with pytest.raises(FaultError, match="no such fault"):
        faults.heal(stack, "nothing")


def test_the_log_survives_the_process_that_wrote_it(tmp_path: Path) -> None:
    record = Record("backlog", {"queue": "emails"}, memo={"scopes": ["queue:emails"]})
    Log(tmp_path / "faults.json").add(record)
    assert Log(tmp_path / "faults.json").read() == [record]
    Log(tmp_path / "faults.json").remove(record)
    assert Log(tmp_path / "faults.json").read() == []


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two faults whose doing and undoing is only written down; undoing `exporter-down` fails."""
    seen: list[str] = []

    def step(what: str, fails: bool = False) -> Any:
        def run(context: Any, record: Record) -> None:
            seen.append(f"{what} {record.name}")
            if fails:
                raise ConnectionError("gone")

        return run

    table = {
        "broker-down": Operation(step("do"), step("undo")),
        "beat-down": Operation(step("do"), step("undo")),
        "exporter-down": Operation(step("do"), step("undo", fails=True)),
        "redis-restart": Operation(step("do", fails=True), step("undo")),
    }
    monkeypatch.setattr(operations, "OPERATIONS", table)
    monkeypatch.setattr("harness.faults.run.OPERATIONS", table)
    return seen


def test_faults_are_healed_the_latest_first(stack: Any, traced: list[str]) -> None:
    faults.inject(stack, "broker-down")
    faults.inject(stack, "beat-down")
    assert faults.heal(stack) == ["beat-down", "broker-down"]
    assert traced == ["do broker-down", "do beat-down", "undo beat-down", "undo broker-down"]
    assert faults.active(stack) == []


def test_only_the_named_fault_is_healed(stack: Any, traced: list[str]) -> None:
    faults.inject(stack, "broker-down")
    faults.inject(stack, "beat-down")
    assert faults.heal(stack, "broker-down") == ["broker-down"]
    assert [record.name for record in faults.active(stack)] == ["beat-down"]


def test_only_this_very_fault_is_healed(stack: Any, traced: list[str]) -> None:
    first = faults.inject(stack, "beat-down")
    second = faults.inject(stack, "beat-down")
    faults.heal(stack, first)
    assert [record.id for record in faults.active(stack)] == [second.id]


def test_what_cannot_be_undone_does_not_keep_the_others_from_it(stack: Any, traced: list[str]) -> None:
    faults.inject(stack, "broker-down")
    faults.inject(stack, "exporter-down")
    with pytest.raises(ConnectionError):
        faults.heal(stack)
    assert traced[-1] == "undo broker-down"
    assert faults.active(stack) == []


def test_a_fault_that_was_half_done_is_undone(stack: Any, traced: list[str]) -> None:
    with pytest.raises(ConnectionError):
        faults.inject(stack, "redis-restart")
    assert traced == ["do redis-restart", "undo redis-restart"]
    assert faults.active(stack) == []


def test_a_fault_for_a_block_is_undone_when_the_block_fails(stack: Any, traced: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), faults.applied(stack, "beat-down"):
        raise ZeroDivisionError
    assert traced == ["do beat-down", "undo beat-down"]


@pytest.mark.redis
@pytest.mark.parametrize(
    ("name", "params", "scope", "expected"),
    [
        ("slow", {"scope": "queue:q", "seconds": 3}, "queue:q", {"latency_seconds": 3.0}),
        ("fail", {"scope": "task:t", "rate": 0.25}, "task:t", {"fail_rate": 0.25, "exception": "RuntimeError"}),
        ("retry-storm", {"scope": "all"}, "all", {"retry_rate": 1.0}),
        ("hang", {"scope": "queue:q"}, "queue:q", {"hang": True}),
        ("kill-child", {"scope": "queue:q"}, "queue:q", {"kill_child": True}),
    ],
)
def test_a_fault_of_tasks_is_what_workers_read(
    broken: Any, name: str, params: dict[str, Any], scope: str, expected: dict[str, Any]
) -> None:
    client = Redis.from_url(broken.broker_url())
    record = faults.inject(broken, name, **params)
    assert workers_faults.read(client) == {scope: workers_faults.Fault(**expected)}
    faults.heal(broken, record)
    assert workers_faults.read(client) == {}


@pytest.mark.redis
def test_a_backlog_is_published_and_stamped(broken: Any, redis: PrivateRedis) -> None:
    faults.inject(broken, "backlog", queue="q", size=7)
    client = redis.client()
    assert client.llen("q") == 7
    assert b'"enqueued_at"' in client.lindex("q", 0)
    faults.heal(broken)
    assert client.llen("q") == 7, "healing lets a backlog drain; it throws no task away"


@pytest.mark.redis
def test_an_unread_queue_is_emptied_again(broken: Any, redis: PrivateRedis) -> None:
    faults.inject(broken, "unread-queue", queue="typo", size=3)
    assert redis.client().llen("typo") == 3
    faults.heal(broken)
    assert redis.client().exists("typo") == 0


@pytest.mark.redis
def test_starving_puts_urgent_tasks_before_the_others(broken: Any, redis: PrivateRedis) -> None:
    faults.inject(broken, "starve", queue="q", size=4, waiting=2)
    assert redis.client().llen("q") == 4
    assert redis.client().llen("q\x06\x169") == 2


@pytest.mark.redis
def test_invented_names_reach_whoever_listens_to_events(broken: Any, redis: PrivateRedis) -> None:
    listener = redis.client().pubsub()
    listener.psubscribe("/0.celeryev/*")
    listener.get_message(timeout=10)
    faults.inject(broken, "cardinality", names=3)
    channels = [(listener.get_message(timeout=10) or {}).get("channel") for _ in range(3)]
    assert channels == [b"/0.celeryev/task.sent"] * 3
    listener.close()
