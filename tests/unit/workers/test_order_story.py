"""One order from the web to its invoice: one trace, the log lines that belong to it, the counts, the result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from nodes import Process, call, gateway, worker
from otlp_receiver import Receiver, Span, receiver

from harness.wait import Pending, until
from workers import faults
from workers.catalogue import CHARGE, PIPELINE

DEADLINE = 120
ORDER = {"customer": "c-77", "items": [{"sku": "teapot-secret", "quantity": 2, "price_cents": 450}]}


@pytest.fixture(scope="module")
def otlp() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


@pytest.fixture(scope="module")
def stack(redis: Any, tmp_path_factory: pytest.TempPathFactory, otlp: Receiver) -> Iterator[tuple[Process, Process]]:
    folder = tmp_path_factory.mktemp("story")
    traced = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "PAYMENT_DECLINE_RATE": "0",
        "PAYMENT_BUSY_RATE": "0",
        "FOLLOW_UP_SECONDS": "1",
    }
    arguments = ("-c", "2", "-Q", "default,emails,payments,reports", "--max-tasks-per-child", "1")
    with (
        worker(redis, folder, *arguments, app="workers.app", name="worker", **traced) as node,
        gateway(redis, folder, **traced) as web,
    ):
        yield web, node


@pytest.fixture(scope="module")
def order(stack: tuple[Process, Process], redis: Any) -> dict[str, Any]:
    """An order that was posted, whose charge was retried, and that has succeeded."""
    web, node = stack
    faults.set_fault(redis.client(), f"task:{CHARGE.name}", faults.Fault(retry_rate=1, exception="TimeoutError"))
    try:
        status, posted = call(web, "/orders", ORDER)
        assert (status, posted["status"]) == (202, "accepted")
        until(lambda: node.value("worker_jobs_total", task=CHARGE.name, status="retry") >= 1, "a retry", DEADLINE)
    finally:
        faults.clear_all(redis.client())

    def done() -> dict[str, Any] | Pending:
        _, found = call(web, f"/orders/{posted['order_id']}")
        return found if found["status"] == "succeeded" else Pending(found["status"])

    return {**until(done, "the order to succeed", DEADLINE), "task_id": posted["task_id"]}


@pytest.fixture(scope="module")
def attempts(stack: tuple[Process, Process], order: dict[str, Any]) -> int:
    """How often the charge was attempted."""
    _, node = stack
    return 1 + int(node.value("worker_jobs_total", task=CHARGE.name, status="retry"))


@pytest.fixture(scope="module")
def trace(otlp: Receiver, order: dict[str, Any], attempts: int) -> list[Span]:
    """All spans of the order's trace, once they have all arrived."""
    steps = len(PIPELINE) + 1  # and the follow-up
    # The request, a producer and a consumer for each step and each further attempt, and the charge's own span.
    wanted = 1 + 2 * (steps + attempts - 1) + 1

    def arrived() -> list[Span] | Pending:
        root = [span for span in otlp.spans() if span.name == "POST /orders"]
        spans = [span for span in otlp.spans() if root and span.trace == root[0].trace]
        return spans if len(spans) >= wanted else Pending(f"{len(spans)} of {wanted}: {[s.name for s in spans]}")

    spans = until(arrived, "every span of the trace", DEADLINE)
    assert len(spans) == wanted
    return spans


def test_the_result_can_be_read(order: dict[str, Any]) -> None:
    assert order["result"]["total_cents"] == 900
    assert order["result"]["charge"].startswith("charge-")


def test_every_attempt_has_a_producer_and_a_consumer_in_the_right_parentage(
    trace: list[Span], attempts: int, order: dict[str, Any]
) -> None:
    by_id = {span.id: span for span in trace}
    consumers = [span for span in trace if span.kind == "CONSUMER"]
    for consumer in consumers:
        producer = by_id[consumer.parent]
        assert (producer.kind, producer.name) == ("PRODUCER", consumer.name.replace("run/", "apply_async/"))
        assert producer.attributes["messaging.message.id"] == consumer.attributes["messaging.message.id"]

    def cause(name: str, retries: int = 0) -> str:
        """Name of the span under which the message of an attempt was published."""
        found = next(s for s in consumers if s.name == f"run/{name}" and s.attributes["celery.retries"] == retries)
        return by_id[by_id[found.parent].parent].name

    accept, reserve, charge, confirm, invoice = (task.name for task in PIPELINE)
    assert cause(accept) == "POST /orders"
    assert cause(reserve) == f"run/{accept}"
    assert cause(charge) == f"run/{reserve}"
    charges = [s for s in consumers if s.name == f"run/{charge}"]
    assert sorted(s.attributes["celery.retries"] for s in charges) == list(range(attempts))
    assert attempts >= 2
    for retries in range(1, attempts):
        assert cause(charge, retries) == f"run/{charge}"
    assert cause(confirm) == f"run/{charge}"
    assert cause(invoice) == f"run/{confirm}"
    own = next(span for span in trace if span.name == "charge_card")
    assert by_id[own.parent].attributes["celery.retries"] == attempts - 1
    first = next(s for s in consumers if s.name == f"run/{accept}")
    assert first.attributes["messaging.message.id"] == order["task_id"]


def test_log_lines_carry_the_trace_and_no_data(stack: tuple[Process, Process], trace: list[Span]) -> None:
    _, node = stack
    mine = [line for line in node.lines() if line.get("trace_id") == trace[0].trace]
    spans = {span.id: span for span in trace}
    assert {line["task_name"] for line in mine} >= {task.name for task in PIPELINE}
    for line in mine:
        assert spans[line["span_id"]].attributes["messaging.message.id"] == line["task_id"]
        assert line["queue"]
        assert line["retry"] == spans[line["span_id"]].attributes["celery.retries"]
    text = node.child.log.read_text()
    assert "teapot-secret" not in text, "an argument in the log"
    assert "invoice-" not in text
    assert "charge-" not in text, "a result in the log"


def test_the_metrics_counted_it(stack: tuple[Process, Process], order: dict[str, Any], attempts: int) -> None:
    web, node = stack
    for task in PIPELINE:
        assert node.value("worker_jobs_total", task=task.name, queue=task.queue, status="success") == 1
    assert node.value("worker_retries_total", task=CHARGE.name, reason="TimeoutError") == attempts - 1
    assert web.value("gateway_orders_total", outcome="accepted") == 1
    assert web.value("outbox_rows") == 0
    assert web.value("http_requests_total", route="/orders", method="POST", status="202") == 1


def test_otlp_counts_come_from_instances_of_their_own(otlp: Receiver, order: dict[str, Any], attempts: int) -> None:
    def counted() -> bool | Pending:
        ran = otlp.points("celery.task.started", task=CHARGE.name)
        return len(ran) >= attempts or Pending(f"{len(ran)} points")

    until(counted, "each child's count of the charge", DEADLINE)
    instances = {point.instance for point in otlp.points("celery.task.started")}
    assert {instance.rpartition("/")[2] for instance in instances} == {"0", "1"}, "children are told apart by place"
    assert otlp.points("celery.task.failed") == []
    assert otlp.last("celery.workers.active") == 1
    assert {p.attributes["queue"] for p in otlp.points("celery.queue.depth")} >= {"default", "payments"}
