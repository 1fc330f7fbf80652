"""The load generator over a real broker and a real worker."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
import requests
from runs import ACCEPT, DEADLINE, WHOLE, Runs, count, series

from harness.ports import free_ports
from harness.private_redis import PrivateRedis
from harness.wait import until
from workers.faults import Fault, set_fault

pytestmark = pytest.mark.redis

REQUESTS, FAILURES = "loadgen_requests_total", "loadgen_failures_total"


def test_every_published_order_is_followed_to_its_last_step(runs: Runs) -> None:
    runs.worker()

    status, table, said = runs.headless(LOAD_RATE="6", LOAD_DRAIN="120")

    published = table["publish", ACCEPT]
    assert status == 0, said[:5000]
    assert published[0] > 0
    assert table == {("publish", ACCEPT): published, ("complete", ACCEPT): published, ("complete", WHOLE): published}
    assert published[1] == 0
    for report in ("run.html", "run_stats.csv"):
        assert WHOLE in (runs.folder / report).read_text()


def test_without_workers_the_load_goes_on_and_the_wait_is_a_failure(runs: Runs, broker: PrivateRedis) -> None:
    status, table, said = runs.headless(LOAD_RATE="20", LOAD_RESULT_TIMEOUT="1", LOAD_DRAIN="60")

    published, failed = table["publish", ACCEPT]
    assert failed == 0
    assert published > 20, "publishing waited for results"
    with broker.client() as client:
        assert client.llen("default") == published
    assert table["complete", ACCEPT] == (published, published)
    assert "NoResult" in said
    assert status == 1


def test_a_failing_task_is_a_failed_completion_by_its_kind(runs: Runs, broker: PrivateRedis) -> None:
    with broker.client() as client:
        set_fault(client, f"task:{ACCEPT}", Fault(fail_rate=1, exception="ValueError"))
    runs.worker()

    _, table, said = runs.headless(LOAD_RATE="5", LOAD_DRAIN="120")

    published, _ = table["publish", ACCEPT]
    assert table["complete", ACCEPT] == (published, published)
    assert "TaskFailed" in said
    assert "ValueError" in said


def test_an_order_that_fails_half_way_is_a_failed_order(runs: Runs, broker: PrivateRedis) -> None:
    with broker.client() as client:
        set_fault(client, "task:payments.charge", Fault(fail_rate=1))
    runs.worker()

    _, table, _ = runs.headless(LOAD_RATE="5", LOAD_DRAIN="120")

    published, _ = table["publish", ACCEPT]
    assert table["complete", ACCEPT] == (published, 0)
    assert table["complete", WHOLE] == (published, published)


def test_tasks_without_result_are_published_and_not_awaited(runs: Runs, broker: PrivateRedis) -> None:
    status, table, _ = runs.headless(LOAD_MIX="reports.summarise", LOAD_RATE="5", LOAD_DRAIN="60")
    with broker.client() as client:
        assert client.llen("reports") == table["publish", "reports.summarise"][0] > 0
    assert (status, len(table)) == (0, 1)


def test_no_subscription_is_left_for_a_published_task(runs: Runs, broker: PrivateRedis) -> None:
    _, address = runs.served("load", LOAD_RATE="20")
    until(lambda: count(address, REQUESTS, "publish", ACCEPT) > 20, "publishes", timeout=DEADLINE)
    with broker.client() as client:
        assert client.pubsub_channels("celery-task-meta-*") == []


def test_a_broker_that_goes_and_comes_back_ends_nothing(runs: Runs, broker: PrivateRedis) -> None:
    child, address = runs.served("load", LOAD_RATE="5")
    until(lambda: count(address, REQUESTS, "publish", ACCEPT) > 3, "publishes", timeout=DEADLINE)

    broker.kill()
    until(
        lambda: count(address, FAILURES, "publish", ACCEPT) > 3,
        "failed publishes while the broker is away",
        timeout=DEADLINE,
    )
    broker.start()

    def published() -> int:
        with broker.client() as client:
            return client.llen("default")

    until(lambda: published() > 3, "publishes after the broker came back", timeout=DEADLINE)
    assert child.running, child.said()


def test_the_web_page_answers_and_the_shape_sets_the_users(runs: Runs) -> None:
    child, address = runs.served("load", LOAD_RATE="5", LOAD_SHAPE="burst", LOAD_CYCLE="24")
    until(lambda: "Locust" in requests.get(address, timeout=30).text, "locust's page", timeout=DEADLINE)
    seen: set[tuple[float, float]] = set()

    def both() -> bool:
        now = series(address)
        seen.add((now["loadgen_users"], round(now["loadgen_target_rate"])))
        return {(5, 5), (40, 40)} <= seen

    until(both, "the rate at one and at eight times five users", timeout=DEADLINE)
    assert child.stop(60) == 0, child.said()


def test_a_master_and_its_workers_share_the_load(runs: Runs) -> None:
    runs.worker()
    port = str(free_ports(1)[0])
    _, address = runs.served(
        "master", LOAD_ROLE="master", LOAD_MASTER_PORT=port, LOAD_EXPECT_WORKERS="2", LOAD_RATE="6"
    )
    for number in (1, 2):
        runs.run(f"worker{number}", "loadgen", LOAD_ROLE="worker", LOAD_MASTER_PORT=port)

    def whole_orders() -> bool:
        return series(address)["loadgen_users"] == 6 and count(address, REQUESTS, "complete", WHOLE) > 10

    until(whole_orders, "orders from two workers in the master's statistics", timeout=DEADLINE)
    state = requests.get(f"{address}/stats/requests", timeout=30).json()
    assert len(state["workers"]) == 2
    assert all(worker["user_count"] == 3 for worker in state["workers"])


class Gateway(BaseHTTPRequestHandler):
    """Takes orders as the gateway does: some at once, every third not at all; a second look finds them succeeded."""

    posted: ClassVar[list[dict]] = []
    looked: ClassVar[set[str]] = set()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.posted.append(body)
        if len(self.posted) % 3 == 0:
            self.reply(503, {"error": "the broker is away"})
        else:
            self.reply(202, {"task_id": f"order-{len(self.posted)}", "status": "accepted"})

    def do_GET(self) -> None:
        order = self.path.removeprefix("/orders/")
        self.reply(200, {"order_id": order, "status": "succeeded" if order in self.looked else "queued"})
        self.looked.add(order)

    def reply(self, status: int, content: dict) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


def test_orders_are_posted_to_a_gateway_and_followed_there(runs: Runs) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            target = f"http://127.0.0.1:{server.server_address[1]}"
            _, table, said = runs.headless(LOAD_TARGET=target, LOAD_RATE="10", LOAD_DRAIN="120")
        finally:
            server.shutdown()
            serving.join()

    posts = len(Gateway.posted)
    assert posts > 3
    assert {tuple(sorted(body)) for body in Gateway.posted} == {("customer", "items")}
    assert table["POST", "/orders"] == (posts, posts // 3)
    assert table["complete", WHOLE] == (posts - posts // 3, 0)
    assert "the gateway does not accept orders now" in said


def test_orders_through_the_stacks_own_gateway_succeed(runs: Runs) -> None:
    runs.worker()
    port = str(free_ports(1)[0])
    runs.run("gateway", "workers.gateway", GATEWAY_PORT=port, GATEWAY_DB=str(runs.folder / "gateway.sqlite"))
    target = f"http://127.0.0.1:{port}"
    until(lambda: requests.get(f"{target}/healthz", timeout=30).ok, "the gateway", timeout=DEADLINE)

    status, table, said = runs.headless(LOAD_TARGET=target, LOAD_RATE="5", LOAD_DRAIN="120")

    posted = table["POST", "/orders"]
    assert status == 0, said[:5000]
    assert posted[0] > 0
    assert table == {("POST", "/orders"): posted, ("complete", WHOLE): posted}
