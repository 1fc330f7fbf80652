"""E-mail: waiting for a server, which threads do well."""

# Celery is not typed: its decorator would make every task untyped.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import random
import time

from workers.app import app
from workers.catalogue import CONFIRM
from workers.tasks.order import Order, reference


@app.task(name=CONFIRM.name, autoretry_for=(ConnectionError,), max_retries=5, retry_backoff=1, retry_jitter=True)
def confirm(order: Order) -> Order:
    """Send the customer a confirmation. Its message id depends on the order alone, so that a mail server drops a
    second one."""
    time.sleep(random.uniform(0.02, 0.1))  # noqa: S311 - the mail server's answer
    return Order(**{**order, "confirmation": reference("confirmation", order)})
