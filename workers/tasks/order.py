"""The order as it travels in messages: a plain dict of JSON values, checked where it enters."""

from __future__ import annotations

import uuid
from typing import TypedDict


class Item(TypedDict):
    """One line of an order; the price is for one piece."""

    sku: str
    quantity: int
    price_cents: int


class Order(TypedDict, total=False):
    """An order. The steps of the pipeline add ``total_cents``, ``reservation``, ``charge`` and ``confirmation``."""

    order_id: str
    customer: str
    items: list[Item]
    total_cents: int
    reservation: str
    charge: str
    confirmation: str
    invoice: str


def reference(kind: str, order: Order) -> str:
    """The same reference for the same order each time, so that a step that runs twice does its work once."""
    return f"{kind}-{uuid.uuid5(uuid.NAMESPACE_OID, order['order_id'] + kind)}"
