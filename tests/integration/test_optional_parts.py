"""The gateway and Flower on a running stack of their own: an order over HTTP, the pages, and an outage under orders."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import yaml

from grafana.queries import PanelQuery, queries
from grafana.services import FLOWER, GATEWAY
from harness import evidence, faults, secrets
from harness.clients import Alertmanager, Inbox, Prometheus
from harness.paths import EVIDENCE, ROOT, SECRETS
from harness.probe import Probe
from harness.remains import insist_on_nothing_left
from harness.stack import Stack
from harness.wait import Pending, until
from tests.integration.customers import ENDS, ORDER, Customers, state
from tests.integration.test_answers import answers
from tests.integration.trial import RUN, held_back
from workers.catalogue import PIPELINE

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

# What the optional parts need, and what tells of them.
SERVICES = (
    *("redis", "worker", "worker-emails", "celery-exporter", "prometheus", "alertmanager", "inbox"),
    *("gateway", "flower"),
)
OUTBOX_LIMIT = 200
#: The objective is a number of seconds, which the clock does not divide: here it is one that an outage passes.
OUTBOX_AGE_SECONDS = 10
OUTAGE_SECONDS = 30
ORDERS_PER_SECOND = 50
PAGES = ("/", "/workers", "/tasks", "/broker")
# Of several hundred orders at one declined card in two hundred.
DECLINED_AT_MOST = 15


@dataclass(frozen=True)
class Shop:
    """The running stack, and who is asked about it."""

    stack: Stack
    probe: Probe

    @property
    def gateway(self) -> str:
        return self.stack.address("gateway")

    @property
    def prometheus(self) -> Prometheus:
        return self.probe.prometheus

    @property
    def flower(self) -> str:
        return f"{self.stack.address('flower')}/flower"

    @property
    def flower_login(self) -> tuple[str, str]:
        folder = Path(self.stack.plan.settings.get("SECRETS_DIR") or SECRETS)
        return "admin", secrets.read("flower_password", folder)


def limits() -> str:
    """The shipped limits with another objective for the outbox."""
    shipped = yaml.safe_load((ROOT / "prometheus" / "rules" / "limits.yml").read_text(encoding="utf-8"))
    rules = [rule for group in shipped["groups"] for rule in group["rules"]]
    [outbox] = [rule for rule in rules if rule["record"] == "limit:outbox_age_seconds"]
    outbox["expr"] = OUTBOX_AGE_SECONDS
    return json.dumps(shipped)


@pytest.fixture(scope="module")
def shop(pytestconfig: pytest.Config) -> Iterator[Shop]:
    """A stack with the optional parts, beside the one of the session."""
    stack = Stack.for_tests(
        pytestconfig.getoption("--way"),
        factor=pytestconfig.getoption("--clock"),
        services=SERVICES,
        # What a worker held when its broker vanished is delivered again after this time.
        overrides={"OUTBOX_LIMIT": str(OUTBOX_LIMIT), "FOLLOW_UP_SECONDS": "1", "VISIBILITY_TIMEOUT_SECONDS": "20"},
        rules={"limits.yml": limits()},
        name="shop",
    )
    try:
        with kept(stack, "start"):
            stack.start()
        addresses = [stack.address(name) for name in ("prometheus", "alertmanager", "inbox")]
        yield Shop(stack, Probe(Prometheus(addresses[0]), Alertmanager(addresses[1]), Inbox(addresses[2])))
    finally:
        with contextlib.suppress(Exception):  # what cannot be healed is taken down
            faults.heal(stack)
        stack.down(volumes=True)
    insist_on_nothing_left(stack)


@contextlib.contextmanager
def kept(stack: Stack, name: str) -> Iterator[None]:
    """Keep the evidence of what goes wrong in a block."""
    try:
        yield
    except BaseException:
        evidence.keep(stack, EVIDENCE / RUN / f"optional-{name}", ["up", "outbox_rows", "outbox_oldest_age_seconds"])
        raise


def all_up(prometheus: Prometheus) -> bool | Pending:
    """Whether Prometheus reads the gateway and Flower, and everything else that it should."""
    targets = prometheus.targets()
    down = [f"{t.job}: {t.error or t.health}" for t in targets if t.health != "up"]
    missing = {"gateway", "flower", "worker", "celery"} - {t.job for t in targets}
    return not (down or missing) or Pending("; ".join([*down, *sorted(missing)]))


def end(url: str, order_ids: list[str], within: float) -> dict[str, str]:
    """Wait until every order has ended; returns how each did."""
    ends: dict[str, str] = {}

    def check() -> bool | Pending:
        seen: dict[str, int] = {}
        for order_id in order_ids:
            if order_id not in ends:
                status = state(url, order_id).get("status", "not told")
                seen[status] = seen.get(status, 0) + 1
                if status in ENDS:
                    ends[order_id] = status
        return len(ends) == len(order_ids) or Pending(f"{len(ends)} of {len(order_ids)} have ended, now {seen}")

    until(check, "every accepted order to end", within, interval=1)
    return ends


@pytest.fixture(scope="module")
def orders(shop: Shop) -> list[str]:
    """Orders that were posted over HTTP. One of them could have its card declined, all of them will not."""
    posted = [requests.post(f"{shop.gateway}/orders", json=ORDER, timeout=30) for _ in range(3)]
    assert [answer.status_code for answer in posted] == [202] * 3
    return [answer.json()["order_id"] for answer in posted]


def test_an_order_over_http_is_followed_to_its_invoice(shop: Shop, orders: list[str]) -> None:
    ends = end(shop.gateway, orders, 120)
    done = [state(shop.gateway, order_id) for order_id in orders if ends[order_id] == "succeeded"]
    assert done, ends
    for order in done:
        assert order["result"]["total_cents"] == 900
        assert order["result"]["charge"].startswith("charge-")
        assert re.fullmatch(r"[0-9a-f]{16}", order["result"]["invoice"]), order
    assert len({order["result"]["invoice"] for order in done}) == len(done)


def test_every_source_counts_the_order(shop: Shop, orders: list[str]) -> None:
    first = PIPELINE[0].name
    for counter in (
        'gateway_orders_total{outcome="accepted"}',
        "outbox_published_total",
        'http_requests_total{route="/orders", method="POST", status="202"}',
        f'celery_task_succeeded_total{{name="{first}"}}',
        f'worker_jobs_total{{task="{first}", status="success"}}',
        f'flower_events_total{{task="{first}", type="task-succeeded"}}',
    ):

        def counted(counter: str = counter) -> bool | Pending:
            seen = shop.prometheus.value(f"sum({counter})") or 0
            return seen >= len(orders) or Pending(f"{seen:g}")

        until(counted, f"{len(orders)} orders in {counter}", 90)


def test_prometheus_reads_the_gateway_and_flower(shop: Shop) -> None:
    until(lambda: all_up(shop.prometheus), "every target to be up", 120)


def test_the_gateway_says_how_it_is(shop: Shop) -> None:
    for path in ("/healthz", "/readyz", "/health"):
        answer = requests.get(f"{shop.gateway}{path}", timeout=30)
        assert (answer.status_code, answer.json()["status"]) == (200, "healthy"), path


@pytest.mark.parametrize("page", PAGES)
def test_flower_answers_with_its_password_and_refuses_without(shop: Shop, page: str) -> None:
    assert requests.get(shop.flower + page, auth=shop.flower_login, timeout=30).status_code == 200
    assert requests.get(shop.flower + page, timeout=30).status_code == 401
    assert requests.get(shop.flower + page, auth=("admin", "admin"), timeout=30).status_code == 401


def test_flower_shows_the_workers_of_the_stack(shop: Shop) -> None:
    def shown() -> bool | Pending:
        page = requests.get(f"{shop.flower}/workers", auth=shop.flower_login, timeout=30).text
        missing = [name for name in ("worker@", "emails@") if name not in page]
        return not missing or Pending(f"without {missing}")

    until(shown, "both workers on Flower's page", 90)


@pytest.mark.parametrize(
    "query",
    [query for query in queries() if query.needs in (GATEWAY, FLOWER)],
    ids=lambda query: f"{query.panel}-{query.expr[:30]}".replace(" ", "_"),
)
def test_a_panel_of_an_optional_part_shows_data(query: PanelQuery, shop: Shop, orders: list[str]) -> None:
    answers(shop.prometheus, query.expr, shop.stack.factor)


def test_no_accepted_order_is_lost_while_the_broker_is_down(shop: Shop) -> None:
    with kept(shop.stack, "outage"), Customers(shop.gateway, ORDERS_PER_SECOND) as customers:
        until(lambda: len(customers.accepted) >= 20, "orders to flow", 60)
        mark = shop.probe.inbox.last_id()
        with faults.applied(shop.stack, "broker-down"):
            down = time.monotonic()
            before = len(customers.accepted)
            alert = shop.probe.fires("OutboxStale", within=120)
            page = shop.probe.delivered("BrokerDown", within=120, after=mark)
            # One page for one fault: the broker's explains the outbox's.
            held_back(shop.probe, "OutboxStale", {}, 60)
            until(lambda: len(customers.refused) > 50, "orders to be refused", 120)
            until(lambda: time.monotonic() - down >= OUTAGE_SECONDS, "the outage to last", OUTAGE_SECONDS + 1)
            ready = requests.get(f"{shop.gateway}/readyz", timeout=30)
            alive = requests.get(f"{shop.gateway}/healthz", timeout=30)
            kept_meanwhile = len(customers.accepted) - before
        many = len(customers.accepted) + 20
        until(lambda: len(customers.accepted) >= many, "orders to flow again", 120)

    with kept(shop.stack, "after-the-outage"):
        assert OUTBOX_LIMIT / 2 <= kept_meanwhile <= OUTBOX_LIMIT + 50, "the outbox took what it may"
        assert (ready.status_code, alive.status_code) == (503, 200)
        text = f"{alert.annotations['summary']} {alert.annotations['description']}"
        assert re.search(r"\d+ entries wait in the outbox", text), text
        assert "First:" in text
        for answer in customers.refused:
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
            assert re.search(r"broker does not take orders \(\w+\), and the outbox is full", answer.json()["error"])
        assert not customers.broken, "every customer got an answer"

        assert shop.probe.resolves("BrokerDown", within=180, after=page.id)

        def cleared() -> bool | Pending:
            firing = [a for a in shop.prometheus.alerts("OutboxStale") if a.state == "firing"]
            return not firing or Pending(f"{[a.annotations['description'] for a in firing]}")

        until(cleared, "OutboxStale to clear", 120)
        ends = end(shop.gateway, customers.accepted, 400)
        failed = [order_id for order_id, how in ends.items() if how == "failed"]
        assert len(failed) <= DECLINED_AT_MOST, f"{len(failed)} of {len(ends)} accepted orders failed"
        until(lambda: shop.prometheus.value("sum(outbox_rows)") == 0, "an empty outbox", 60)
        refused = 'sum(gateway_orders_total{outcome="refused"})'
        until(lambda: shop.prometheus.value(refused) == len(customers.refused), "every refusal to be counted", 60)
        until(lambda: all_up(shop.prometheus), "every target to be up again", 120)
