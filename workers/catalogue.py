"""The tasks and queues of the sample application, as data.

Nothing is imported and nothing is connected here: producers, tests and the load generator read the names
without loading the application.
"""

from __future__ import annotations

from dataclasses import dataclass

QUEUES = ("default", "emails", "payments", "reports")


@dataclass(frozen=True)
class Task:
    """A task that the application registers: its name, the queue that it is routed to and what it is like."""

    name: str
    queue: str
    summary: str
    #: Positional arguments that a load generator may send with it; () where it takes none.
    example: tuple[object, ...] = ()


_ORDER = {"order_id": "o-1", "customer": "c-1", "items": [{"sku": "tea", "quantity": 2, "price_cents": 450}]}

ACCEPT_ORDER = Task("orders.accept", "default", "fast: prices an order and starts the rest of the pipeline", (_ORDER,))
RESERVE_STOCK = Task("orders.reserve_stock", "default", "fast, chained", (_ORDER,))
FOLLOW_UP = Task("orders.follow_up", "default", "runs at an ETA, some time after the order", ("o-1",))
CHARGE = Task("payments.charge", "payments", "fails now and then; retries with backoff and jitter", (_ORDER,))
RECONCILE = Task("payments.reconcile", "payments", "periodic, with a soft and a hard time limit")
CONFIRM = Task("emails.confirm", "emails", "waits for a mail server", (_ORDER,))
RENDER_INVOICE = Task("reports.render_invoice", "reports", "CPU-bound", (_ORDER,))
SUMMARISE = Task("reports.summarise", "reports", "slow", ("today",))
CANARY = Task("canary.ping", "default", "sent to every queue on schedule to time the way there")

TASKS = (
    ACCEPT_ORDER,
    RESERVE_STOCK,
    FOLLOW_UP,
    CHARGE,
    RECONCILE,
    CONFIRM,
    RENDER_INVOICE,
    SUMMARISE,
    CANARY,
)

#: What one order sets in motion, in order; the follow-up comes later at its ETA.
PIPELINE = (ACCEPT_ORDER, RESERVE_STOCK, CHARGE, CONFIRM, RENDER_INVOICE)


def routes() -> dict[str, dict[str, str]]:
    """Celery's ``task_routes``: every task of the catalogue to its queue."""
    return {task.name: {"queue": task.queue} for task in TASKS}
