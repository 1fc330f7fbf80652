"""Publishes orders at a steady rate, each until the broker has taken it."""

from __future__ import annotations

import threading
import uuid
from types import TracebackType
from typing import Any, Self

from celery import Celery
from kombu.exceptions import OperationalError

from workers.catalogue import ACCEPT_ORDER

_AGAIN_SECONDS = 0.2


class Publisher:
    """A producer in a thread. `published` holds the task ids of the orders that the broker has taken, in order.

    An id is chosen before it is sent and kept through every attempt: where the broker dies between taking an order
    and saying so, the order may be in the queue twice, and is still one order.
    """

    def __init__(self, broker_url: str, result_url: str, rate: float) -> None:
        self.app = Celery("account", broker=broker_url, backend=result_url, set_as_current=False)
        self.app.conf.update(
            task_serializer="json",
            accept_content=["json"],
            broker_connection_retry=False,
            task_publish_retry=False,
            broker_transport_options={"socket_timeout": 10, "socket_connect_timeout": 5},
        )
        self.rate = rate
        self.published: list[str] = []
        self.repeated = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end.set()
        self._thread.join(60)

    def _run(self) -> None:
        number = 0
        while not self._end.wait(1 / self.rate):
            number += 1
            self._publish(str(uuid.uuid4()), order(number))

    def _publish(self, task_id: str, what: dict[str, Any]) -> None:
        while True:
            try:
                self.app.send_task(ACCEPT_ORDER.name, args=[what], task_id=task_id, queue=ACCEPT_ORDER.queue)
            except (OperationalError, OSError):
                self.repeated += 1
                if self._end.wait(_AGAIN_SECONDS):
                    return
            else:
                self.published.append(task_id)
                return


def order(number: int) -> dict[str, Any]:
    """One small order."""
    return {
        "order_id": f"account-{number}",
        "customer": "account",
        "items": [{"sku": "tea", "quantity": 1, "price_cents": 450}],
    }
