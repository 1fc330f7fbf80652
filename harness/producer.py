"""Publishing tasks to a stack by name, as any producer does: no task code is loaded."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any

from celery import Celery

from workers.catalogue import RESERVE_STOCK
from workers.instrumentation.stamp import stamp

#: A quick task that is acknowledged late and can run any number of times: what faults are tried on.
TASK = RESERVE_STOCK.name

_numbers = itertools.count(1)


class Producer:
    """Sends tasks to one broker. Safe to use from several threads."""

    def __init__(self, broker_url: str) -> None:
        self._app = Celery("harness", broker=broker_url, set_as_current=False)
        self._app.conf.update(
            task_serializer="json",
            accept_content=["json"],
            task_send_sent_event=True,
            # A broker that is down is told at once; whoever publishes decides what to do about it.
            broker_connection_retry=False,
            task_publish_retry=False,
            broker_transport_options={"socket_timeout": 10, "socket_connect_timeout": 5},
        )
        stamp(self._app)
        self._lock = threading.Lock()

    @property
    def app(self) -> Celery:
        """The Celery application, for remote control of workers."""
        return self._app

    def send(
        self,
        queue: str,
        count: int = 1,
        task: str = TASK,
        args: Sequence[Any] | None = None,
        **options: Any,
    ) -> list[str]:
        """Publish `count` tasks to a queue and return their ids.

        `args` are the task's own; an order where they are left out. `options` are Celery's (`priority`, `expires`,
        `countdown`). Raises kombu's OperationalError where the broker is not there.
        """
        with self._lock, self._app.connection_for_write() as connection, connection.Producer() as producer:
            return [
                self._app.send_task(
                    task,
                    args=[order()] if args is None else list(args),
                    queue=queue,
                    producer=producer,
                    ignore_result=True,
                    **options,
                ).id
                for _ in range(count)
            ]

    def close(self) -> None:
        """Give back connections."""
        self._app.close()


def order() -> dict[str, Any]:
    """A small order, each with a number of its own."""
    return {
        "order_id": f"trial-{next(_numbers)}",
        "customer": "trial",
        "items": [{"sku": "tea", "quantity": 1, "price_cents": 450}],
    }
