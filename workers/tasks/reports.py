"""Reports: one that needs the processor, one that is merely slow."""

# Celery is not typed: its decorator would make every task untyped.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import hashlib
import json
import time

from workers.app import app
from workers.catalogue import RENDER_INVOICE, SUMMARISE
from workers.tasks.order import Order

#: Rounds of hashing that stand for drawing a page: some 20 ms of processor time.
PAGE_ROUNDS = 20_000
SUMMARY_SECONDS = 1.0


@app.task(name=RENDER_INVOICE.name)
def render_invoice(order: Order) -> Order:
    """Draw the invoice: CPU-bound."""
    page = hashlib.pbkdf2_hmac("sha256", json.dumps(order, sort_keys=True).encode(), b"invoice", PAGE_ROUNDS)
    return Order(**{**order, "invoice": page.hex()[:16]})


# Not acks_late: the next summary replaces one that was lost.
@app.task(name=SUMMARISE.name, ignore_result=True, acks_late=False, reject_on_worker_lost=False, time_limit=60)
def summarise(day: str) -> None:
    """Add up the orders of a day: slow."""
    time.sleep(SUMMARY_SECONDS)
