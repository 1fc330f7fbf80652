"""The state of queues in a real Redis, filled by a real Celery producer and held by a real worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from shopfleet import LONG, QUICK, is_up, producing, shop_worker

from exporter.config import Settings
from exporter.interfaces import BrokerReading, BrokerUnavailableError, QueueState
from exporter.redis_link import RedisLink
from exporter.redis_queues import RedisQueueReader
from harness.private_exporter import private_exporter, total
from harness.private_redis import PrivateRedis
from harness.wait import until

pytestmark = [pytest.mark.redis]

OWN_LAYOUT = {"global_keyprefix": "site:", "sep": ":p:", "priority_steps": [0, 2, 5], "visibility_timeout": 120}
OWN_OPTIONS = tuple(
    f"--broker-transport-option={option}"
    for option in ("global_keyprefix=site:", "sep=:p:", "priority_steps=[0, 2, 5]", "visibility_timeout=120")
)


@pytest.fixture
def read(redis_server: PrivateRedis) -> Iterator[Callable[..., BrokerReading]]:
    """Reads the queues of the test's Redis; transport options as keywords."""
    readers: list[RedisQueueReader] = []

    def reading(*names: str, published_at: Any = lambda _: None, **options: Any) -> BrokerReading:
        if not readers:
            link = RedisLink(Settings(broker_url=redis_server.url, transport_options=options))
            readers.append(RedisQueueReader(link, published_at=published_at))
        return readers[0].read(names)

    yield reading
    for reader in readers:
        reader.close()


def _send(url: str, priority: int = 0, queue: str = "q1", **options: Any) -> None:
    with producing(url) as app:
        app.send_task("shop.add", queue=queue, priority=priority, **options)


def test_all_priorities_count_and_are_told_apart(
    redis_server: PrivateRedis, read: Callable[..., BrokerReading]
) -> None:
    for priority in (0, 1, 3, 5, 9, 9):
        _send(redis_server.url, priority)
    state = read().queues["q1"]
    assert state.ready == 6
    assert state.ready_by_priority == {0: 2, 3: 2, 6: 0, 9: 2}
    assert set(state.oldest_age_by_priority) == {0, 3, 6, 9}
    assert read("empty").queues["empty"].ready == 0


def test_the_age_of_the_oldest_message_comes_from_its_stamp(
    redis_server: PrivateRedis, read: Callable[..., BrokerReading]
) -> None:
    _send(redis_server.url, headers={"enqueued_at": time.time() - 500})
    _send(redis_server.url, priority=9, headers={"enqueued_at": time.time() - 900})
    state = read().queues["q1"]
    assert state.oldest_age_exact
    assert state.oldest_age == pytest.approx(900, abs=60)
    assert state.oldest_age_by_priority[0] == pytest.approx(500, abs=60)


def test_a_huge_message_is_read_by_its_end_only(redis_server: PrivateRedis, read: Callable[..., BrokerReading]) -> None:
    stamp = time.time() - 700
    trap = {"text": '"enqueued_at": 1', "pad": "x" * 3_000_000}
    _send(redis_server.url, args=[trap], kwargs={"enqueued_at": 5}, headers={"enqueued_at": stamp})
    with redis_server.client() as client:
        before = client.info("stats")["total_net_output_bytes"]
        state = read().queues["q1"]
        sent = client.info("stats")["total_net_output_bytes"] - before
    assert state.oldest_age == pytest.approx(700, abs=60)
    assert sent < 200_000


def test_without_a_stamp_the_announcement_tells_the_age(
    redis_server: PrivateRedis, read: Callable[..., BrokerReading]
) -> None:
    _send(redis_server.url, task_id="the-task")
    known = {"the-task": time.time() - 300}
    state = read(published_at=known.get).queues["q1"]
    assert (state.oldest_age_exact, state.oldest_age) == (True, pytest.approx(300, abs=60))


def test_without_any_hint_the_age_is_a_lower_bound_that_grows(
    redis_server: PrivateRedis, read: Callable[..., BrokerReading]
) -> None:
    _send(redis_server.url)

    def state() -> QueueState:
        return read().queues["q1"]

    assert (state().oldest_age, state().oldest_age_exact) == (pytest.approx(0, abs=30), False)
    until(lambda: (state().oldest_age or 0) > 0.5, "the age to grow", LONG)
    with redis_server.client() as client:
        client.rpop("q1")
    assert (state().ready, state().oldest_age, state().oldest_age_exact) == (0, 0, True)


def test_what_a_worker_holds_is_unacknowledged_not_gone(redis_server: PrivateRedis, tmp_path: Path) -> None:
    marker = tmp_path / "go"
    url = redis_server.url
    with ExitStack() as stack:
        exporter = stack.enter_context(private_exporter(url, tmp_path, QUICK))
        conf = {"task_acks_late": True, "worker_prefetch_multiplier": 2}
        stack.enter_context(shop_worker(url, tmp_path, queues="q1,q2", conf=conf))
        producer = stack.enter_context(producing(url))
        until(is_up(exporter), "the worker to be up", LONG)
        # A worker makes room for each task that waits for its ETA, so these do not count against its prefetch.
        for _ in range(2):
            producer.send_task("shop.add", queue="q2", countdown=3600)
        until(lambda: exporter.total("celery_queue_eta", queue_name="q2") == 2, "the ETA tasks to be held", LONG)
        for _ in range(6):
            producer.send_task("shop.wait", args=[str(marker)], queue="q1")

        def settled() -> bool:
            series = exporter.series()
            found = [
                total(series, f"celery_queue_{metric}", queue_name=queue)
                for metric, queue in (
                    ("length", "q1"),
                    ("unacked", "q1"),
                    ("eta", "q1"),
                    ("unacked", "q2"),
                    ("eta", "q2"),
                )
            ]
            return found == [2, 4, 0, 2, 2]

        until(settled, "two waiting, four held, two with an ETA", LONG)
        assert exporter.total("celery_worker_reserved", worker="one@shop") == 4
        until(
            lambda: exporter.total("celery_queue_unacked_oldest_age_seconds", queue_name="q1") > 1,
            "the age of what is held to grow",
            LONG,
        )
        assert exporter.total("celery_broker_visibility_timeout_seconds") == 3600
        marker.touch()
        until(lambda: exporter.total("celery_queue_unacked", queue_name="q1") == 0, "the queue to be done", LONG)
        assert exporter.total("celery_queue_unacked_oldest_age_seconds", queue_name="q1") == 0


def test_a_key_prefix_and_an_own_layout_are_followed_everywhere(redis_server: PrivateRedis, tmp_path: Path) -> None:
    url = redis_server.url
    with ExitStack() as stack:
        exporter = stack.enter_context(private_exporter(url, tmp_path, (*QUICK, *OWN_OPTIONS)))
        producer = stack.enter_context(producing(url, broker_transport_options=OWN_LAYOUT))
        for priority in (0, 2, 4, 9):
            producer.send_task("shop.add", queue="q1", priority=priority)
        until(lambda: exporter.total("celery_queue_length", queue_name="q1") == 4, "four messages", LONG)
        series = exporter.series()
        by_priority = {
            dict(has)["priority"]: value
            for (name, has), value in series.items()
            if name == "celery_queue_length_by_priority"
        }
        assert by_priority == {"0": 1, "2": 2, "5": 1}
        assert total(series, "celery_broker_visibility_timeout_seconds") == 120
        conf = {"broker_transport_options": OWN_LAYOUT}
        stack.enter_context(shop_worker(url, tmp_path, queues="q1", conf=conf))
        until(is_up(exporter), "the worker to be heard and to answer under the prefix", LONG)
        until(
            lambda: exporter.total("celery_task_succeeded_total", queue_name="q1") == 4, "the messages to be done", LONG
        )


def test_broker_facts_and_leftover_replies(redis_server: PrivateRedis, read: Callable[..., BrokerReading]) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "200mb")
        for number in range(7):
            client.lpush(f"{number}.reply.celery.pidbox", "x")
    facts = read().facts
    assert (facts.eviction_policy, facts.memory_max_bytes, facts.pidbox_keys) == ("allkeys-lru", 200 * 1024 * 1024, 7)
    assert facts.memory_used_bytes
    assert (facts.evicted_keys, facts.transport) == (0, "redis")


def test_a_broker_that_is_gone_is_said_in_one_clean_line(redis_server: PrivateRedis) -> None:
    url = redis_server.url.replace("redis://", "redis://:s3cret-word@")
    reader = RedisQueueReader(RedisLink(Settings(broker_url=url)))
    redis_server.kill()
    with pytest.raises(BrokerUnavailableError) as caught:
        reader.read(())
    assert "s3cret" not in str(caught.value)
    assert str(redis_server.port) in str(caught.value)


def test_asking_the_workers_leaves_nothing_behind(redis_server: PrivateRedis, tmp_path: Path) -> None:
    url = redis_server.url
    with ExitStack() as stack:
        exporter = stack.enter_context(private_exporter(url, tmp_path, ("--inspect-interval=0.5",)))
        stack.enter_context(shop_worker(url, tmp_path, pool=("--pool=solo",)))
        until(is_up(exporter), "the worker to be up", LONG)
        first = exporter.total("celery_exporter_inspect_timestamp_seconds")
        until(lambda: exporter.total("celery_exporter_inspect_timestamp_seconds") > first + 4, "more rounds", LONG)
        with redis_server.client() as client:
            until(lambda: not client.keys("*reply*"), "the replies to be fetched", LONG, interval=0.05)
