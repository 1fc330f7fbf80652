"""Payments: work that must not be lost and must not be done twice."""

# Celery is not typed: its decorator would make every task untyped.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import random
import time
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from celery.utils.log import get_task_logger

from workers.app import app, settings
from workers.catalogue import CHARGE, RECONCILE
from workers.tasks.order import Order, reference
from workers.telemetry import span

logger = get_task_logger(__name__)

RECONCILE_SECONDS = 0.2


class GatewayBusy(Exception):  # noqa: N818 - the names that the payment gateway gives its answers
    """The payment gateway asks to come back later."""


class CardDeclined(Exception):  # noqa: N818
    """The bank refuses. Trying again would not help."""


@app.task(
    name=CHARGE.name,
    bind=True,
    autoretry_for=(GatewayBusy,),
    max_retries=5,
    # 1 s, 2 s, 4 s ... each made random, so that a crowd of retries does not come back as a crowd.
    retry_backoff=1,
    retry_backoff_max=30,
    retry_jitter=True,
)
def charge(self: Any, order: Order) -> Order:
    """Take the money. The charge's reference depends on the order alone: a second run takes nothing twice."""
    with span("charge_card", **{"order.id": order["order_id"]}):
        time.sleep(random.uniform(0.01, 0.04))  # noqa: S311 - the gateway's answer
    if random.random() < settings.busy_rate:  # noqa: S311
        raise GatewayBusy("the payment gateway is busy")
    if random.random() < settings.decline_rate:  # noqa: S311
        raise CardDeclined("the card was declined")
    return Order(**{**order, "charge": reference("charge", order)})


# Not acks_late: a run that dies is replaced by the next one on schedule.
@app.task(
    name=RECONCILE.name,
    ignore_result=True,
    acks_late=False,
    reject_on_worker_lost=False,
    soft_time_limit=20,
    time_limit=25,
)
def reconcile() -> None:
    """Compare the charges with the bank's list; give up cleanly where the bank does not answer in time."""
    try:
        time.sleep(RECONCILE_SECONDS)
    except SoftTimeLimitExceeded:
        logger.warning("the bank's list did not come in time; the next run tries again")
