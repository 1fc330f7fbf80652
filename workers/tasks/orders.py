"""The first steps of an order, and its follow-up."""

# Celery is not typed: its decorator would make every task untyped.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

from celery import chain

from workers.app import app, settings
from workers.catalogue import ACCEPT_ORDER, FOLLOW_UP, RESERVE_STOCK
from workers.tasks.emails import confirm
from workers.tasks.order import Order, reference
from workers.tasks.payments import charge
from workers.tasks.reports import render_invoice


@app.task(name=ACCEPT_ORDER.name, bind=True)
def accept(self: Any, order: Order) -> dict[str, Any]:
    """Price an order and start the rest of the pipeline; return the ids of its steps."""
    total = sum(item["quantity"] * item["price_cents"] for item in order["items"])
    priced = Order(**{**order, "total_cents": total})
    last = chain(reserve_stock.s(priced), charge.s(), confirm.s(), render_invoice.s()).apply_async()
    follow_up.apply_async((order["order_id"],), countdown=settings.follow_up_delay)
    steps = [last.id]
    while (last := last.parent) is not None:
        steps.insert(0, last.id)
    return {"order_id": order["order_id"], "steps": steps, "last_step": steps[-1]}


@app.task(name=RESERVE_STOCK.name)
def reserve_stock(order: Order) -> Order:
    """Set the items of an order aside in the warehouse."""
    return Order(**{**order, "reservation": reference("reservation", order)})


@app.task(name=FOLLOW_UP.name, ignore_result=True)
def follow_up(order_id: str) -> None:
    """Ask, some time after the order, whether all went well."""
