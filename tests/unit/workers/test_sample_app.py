"""The sample application on a real worker: its pipeline, its faults and its poison-pill guard."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from celery import Celery
from nodes import ROOT, Process, environment, worker

from harness.wait import Pending, holds, until
from workers import faults, quarantine
from workers.catalogue import ACCEPT_ORDER, CONFIRM, FOLLOW_UP, PIPELINE, QUEUES, RESERVE_STOCK, TASKS, routes
from workers.faults import Fault

DEADLINE = 90


@pytest.fixture(scope="module")
def node(redis: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with worker(
        redis,
        tmp_path_factory.mktemp("sample"),
        *("-c", "2", "-Q", ",".join(QUEUES)),
        app="workers.app",
        PAYMENT_DECLINE_RATE="0",
        PAYMENT_BUSY_RATE="0",
        FOLLOW_UP_SECONDS="1",
        REDELIVERY_LIMIT="1",
    ) as node:
        yield node


@pytest.fixture
def control(redis: Any) -> Iterator[Any]:
    """A client of the broker's database; no fault is left behind."""
    with closing(redis.client()) as client:
        yield client
        faults.clear_all(client)


@pytest.fixture
def shop(producer: Celery) -> Celery:
    producer.conf.task_routes = routes()
    return producer


def test_an_order_goes_through_every_step(node: Process, shop: Celery) -> None:
    accepted = shop.send_task(ACCEPT_ORDER.name, ACCEPT_ORDER.example).get(timeout=DEADLINE)
    order = shop.AsyncResult(accepted["last_step"]).get(timeout=DEADLINE)
    assert order["total_cents"] == 900
    assert {"reservation", "charge", "confirmation", "invoice"} <= order.keys()
    assert len(accepted["steps"]) == len(PIPELINE) - 1
    until(
        lambda: node.value("worker_jobs_total", task=FOLLOW_UP.name, status="success") == 1, "the follow-up", DEADLINE
    )
    for task in PIPELINE:
        assert node.value("worker_jobs_total", task=task.name, queue=task.queue, status="success") == 1


def test_a_step_that_runs_twice_does_its_work_once(node: Process, shop: Celery) -> None:
    results = [shop.send_task(CONFIRM.name, ACCEPT_ORDER.example).get(timeout=DEADLINE) for _ in range(2)]
    assert results[0]["confirmation"] == results[1]["confirmation"]


@pytest.mark.parametrize("scope", [f"task:{CONFIRM.name}", f"queue:{CONFIRM.queue}", "all"])
def test_a_running_worker_is_broken_and_healed(node: Process, shop: Celery, control: Any, scope: str) -> None:
    faults.set_fault(control, scope, Fault(fail_rate=1, exception="ZeroDivisionError"))

    def outcome() -> str:
        result = shop.send_task(CONFIRM.name, ACCEPT_ORDER.example)
        result.get(timeout=DEADLINE, propagate=False)
        return type(result.result).__name__

    until(lambda: outcome() == "ZeroDivisionError", "the fault to bite", DEADLINE)
    faults.clear_fault(control, scope)
    until(lambda: outcome() == "dict", "the fault to go", DEADLINE)


def test_a_hung_task_goes_on_once_it_is_healed(node: Process, shop: Celery, control: Any) -> None:
    scope = f"task:{RESERVE_STOCK.name}"
    faults.set_fault(control, scope, Fault(hang=True))
    until(lambda: faults.read(control)[scope].hang, "the fault", DEADLINE)
    # The worker reads faults at most once a second: tasks sent until one hangs.
    sent = []

    def hung() -> bool:
        sent.append(shop.send_task(RESERVE_STOCK.name, ACCEPT_ORDER.example))
        return node.value("worker_inflight_jobs", queue=RESERVE_STOCK.queue) == 2

    until(hung, "two hung tasks", DEADLINE, interval=0.5)
    holds(lambda: node.value("worker_inflight_jobs", queue=RESERVE_STOCK.queue) == 2, "they hang", seconds=2)
    faults.clear_fault(control, scope)
    for result in sent:
        assert result.get(timeout=DEADLINE)["reservation"]


def test_a_poison_pill_is_set_aside_and_its_owner_told(node: Process, shop: Celery, control: Any) -> None:
    scope = f"task:{RESERVE_STOCK.name}"
    faults.set_fault(control, scope, Fault(kill_child=True))

    def pill() -> Any:
        result = shop.send_task(RESERVE_STOCK.name, ACCEPT_ORDER.example)
        return result if control.llen(quarantine.LIST_KEY) else Pending("nothing set aside yet")

    sent = until(pill, "a message to be set aside", DEADLINE, interval=6)
    message = json.loads(control.lindex(quarantine.LIST_KEY, 0))
    assert message["task"] == RESERVE_STOCK.name
    assert message["queue"] == RESERVE_STOCK.queue
    assert message["redeliveries"] == 2
    assert message["args"], "what is needed to send it again"
    result = shop.AsyncResult(message["id"])
    with pytest.raises(Exception, match=r"set aside|Reject"):
        result.get(timeout=DEADLINE)
    until(lambda: node.value("worker_quarantined_total", task=RESERVE_STOCK.name) >= 1, "its metric", DEADLINE)
    faults.clear_fault(control, scope)
    assert sent
    until(lambda: node.page("/readyz")[0] == 200, "the worker to be ready", DEADLINE)


def test_names_are_read_without_loading_the_application() -> None:
    code = (
        "import sys, workers.catalogue as c, workers.faults\n"
        "assert len(c.TASKS) >= 8 and {t.queue for t in c.TASKS} == set(c.QUEUES)\n"
        "assert not {'celery', 'redis', 'workers.app'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=True, timeout=60)


def test_every_task_of_the_catalogue_is_registered_and_no_other() -> None:
    code = (
        "import json\nfrom workers.app import app\napp.loader.import_default_modules()\n"
        "print(json.dumps(sorted(n for n in app.tasks if not n.startswith('celery.'))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), check=True, timeout=60, capture_output=True
    )
    assert json.loads(run.stdout) == sorted(task.name for task in TASKS)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BROKER_URL", "nonsense", "BROKER_URL"),
        ("BROKER_PASSWORD_FILE", "/nonexistent", "BROKER_PASSWORD_FILE"),
        ("METRICS_PORT", "many", "METRICS_PORT"),
        ("LOG_FORMAT", "xml", "LOG_FORMAT"),
        ("REDELIVERY_LIMIT", "-1", "REDELIVERY_LIMIT"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ("METRICS_BUCKETS_FILE", "/nonexistent", "METRICS_BUCKETS_FILE"),
    ],
)
def test_a_bad_setting_ends_the_worker_with_one_line(name: str, value: str, said: str) -> None:
    env = environment(**{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", name: value})
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-P", "solo"]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert run.returncode == 2, run.stderr
    lines = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in run.stderr
