"""The gateway: what it takes, what it refuses and why, and that it loses nothing that it took."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from nodes import Process, call, gateway

from harness.ports import free_ports
from harness.private_redis import PrivateRedis, private_redis
from harness.wait import Pending, until
from workers.gateway.outbox import Outbox
from workers.settings import SettingsError

DEADLINE = 90
ITEM = {"sku": "tea", "quantity": 1, "price_cents": 100}
ORDER = {"customer": "c-1", "items": [ITEM]}
LIMIT = 40


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    """A broker that keeps its queues through a crash."""
    with private_redis(tmp_path_factory.mktemp("redis"), {"appendonly": "yes", "appendfsync": "always"}) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def web(durable: PrivateRedis, folder: Path) -> Iterator[Process]:
    with gateway(durable, folder, OUTBOX_LIMIT=str(LIMIT)) as web:
        yield web


def published(redis: PrivateRedis) -> list[str]:
    """Order ids of the messages in the first queue."""
    with closing(redis.client()) as client:
        messages = [json.loads(raw) for raw in client.lrange("default", 0, -1)]
    return [json.loads(base64.b64decode(message["body"]))[0][0]["order_id"] for message in messages]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "customer"),
        ({"customer": "c-1", "items": []}, "items"),
        ({"customer": "c-1", "items": [{**ITEM, "quantity": 0}]}, "quantity"),
        ({"customer": "c-1", "items": [{**ITEM, "price_cents": -1}]}, "price_cents"),
        ({"customer": "x" * 65, "items": [ITEM]}, "customer"),
        ({**ORDER, "surprise": 1}, "surprise"),
        (b"{", "body"),
    ],
)
def test_a_bad_order_is_refused_with_its_reason(web: Process, body: Any, reason: str) -> None:
    status, answer = call(web, "/orders", body)
    assert status == 422
    assert reason in answer["error"]


def test_an_order_of_no_sensible_size_is_refused(web: Process) -> None:
    status, answer = call(web, "/orders", b" " * 70_000)
    assert status == 413
    assert "65536" in answer["error"]


def test_an_unknown_order_is_not_found(web: Process) -> None:
    assert call(web, "/orders/00000000-0000-0000-0000-000000000000")[0] == 404
    assert call(web, "/orders/nonsense")[0] == 422


def test_an_accepted_order_is_published_under_its_id(web: Process, durable: PrivateRedis) -> None:
    status, answer = call(web, "/orders", ORDER)
    assert status == 202
    until(lambda: answer["order_id"] in published(durable), "the order in the queue", DEADLINE)
    until(lambda: call(web, f"/orders/{answer['order_id']}")[1]["status"] == "queued", "its status", DEADLINE)
    assert web.page("/readyz")[0] == web.page("/health")[0] == 200


def test_no_accepted_order_is_lost_while_the_broker_is_away(web: Process, durable: PrivateRedis) -> None:
    accepted: list[str] = []
    refused: list[tuple[int, str]] = []
    ages: list[float] = []
    over = threading.Event()

    def order_fifty_a_second() -> None:
        due = time.monotonic()
        while not over.is_set():
            status, answer = call(web, "/orders", ORDER)
            if status == 202:
                accepted.append(answer["order_id"])
            else:
                refused.append((status, answer["error"]))
            due += 0.02
            over.wait(max(0.0, due - time.monotonic()))

    customers = [threading.Thread(target=order_fifty_a_second) for _ in range(2)]
    for customer in customers:
        customer.start()
    try:
        until(lambda: len(accepted) > 20, "orders to flow", DEADLINE)
        durable.kill()
        until(lambda: len(refused) > 50, "orders to be refused", DEADLINE)
        status, ready = web.page("/readyz")
        ages.append(web.value("outbox_oldest_age_seconds"))
        rows = web.value("outbox_rows")
        durable.start()
        many = len(accepted) + 20
        until(lambda: len(accepted) > many, "orders to flow again", DEADLINE)
    finally:
        over.set()
        for customer in customers:
            customer.join(timeout=60)
    assert status == 503
    assert "full" in ready["checks"]["orders"]["detail"]
    assert LIMIT <= rows <= LIMIT + len(customers)
    assert ages[0] > 0
    for code, reason in refused:
        assert code == 503
        assert "the broker does not take orders" in reason
    until(lambda: web.value("outbox_rows") == 0, "the outbox to drain", DEADLINE)
    assert web.value("outbox_oldest_age_seconds") == 0
    lost = set(accepted) - set(published(durable))
    assert not lost, f"{len(lost)} of {len(accepted)} accepted orders are lost"
    assert web.value("gateway_orders_total", outcome="refused") == len(refused)
    assert web.page("/readyz")[0] == 200


def test_an_order_survives_a_gateway_that_is_killed(tmp_path: Path) -> None:
    with private_redis(tmp_path / "redis") as broker:
        broker.kill()
        port = free_ports(1)[0]
        with gateway(broker, tmp_path, port) as first:
            status, answer = call(first, "/orders", ORDER)
            assert (status, answer["status"]) == (202, "accepted")
            assert call(first, f"/orders/{answer['order_id']}")[1]["status"] == "accepted"
            first.child.kill()
        with gateway(broker, tmp_path, port) as second:
            assert second.value("outbox_rows") == 1
            broker.start()
            until(lambda: answer["order_id"] in published(broker), "the order in the queue", DEADLINE)


def test_without_an_outbox_orders_are_refused_at_once(tmp_path: Path) -> None:
    with private_redis(tmp_path / "redis") as broker, gateway(broker, tmp_path, OUTBOX_LIMIT="0") as web:
        broker.kill()
        # One order is needed for the gateway to notice; it is accepted and kept.
        call(web, "/orders", ORDER)

        def refused() -> bool | Pending:
            status, answer = call(web, "/orders", ORDER)
            return status == 503 or Pending(str(answer))

        until(refused, "a 503", DEADLINE)


def test_an_outbox_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="GATEWAY_DB"):
        Outbox(tmp_path / "file" / "orders.sqlite")


def test_the_outbox_forgets_what_was_ordered_once_it_is_published(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "orders.sqlite")) as outbox:
        outbox.accept("a", {"n": 1}, {})
        outbox.accept("b", {"n": 2}, {})
        assert [waiting.id for waiting in outbox.waiting(10)] == ["a", "b"]
        outbox.published(["a"])
        assert outbox.depth() == 1
        assert outbox.is_published("a")
        assert outbox.is_published("b") is False
        assert outbox.is_published("c") is None
    assert b'{"n": 1}' not in (tmp_path / "orders.sqlite").read_bytes()
