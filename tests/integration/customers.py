"""Customers who order over HTTP at a steady pace, whatever they are told."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

import requests

ORDER = {"customer": "c-1", "items": [{"sku": "tea", "quantity": 2, "price_cents": 450}]}
#: How an order can end; one whose card is declined fails, as some do in the sample.
ENDS = ("succeeded", "failed")


class Customers:
    """Posts orders from threads of its own until the block ends.

    `accepted` are the ids that the gateway promised to see to, `refused` the answers that were none, `broken` the
    requests without an answer: their orders were promised to nobody.
    """

    def __init__(self, url: str, per_second: float, threads: int = 4) -> None:
        self._url, self._pause = url, threads / per_second
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self.accepted: list[str] = []
        self.refused: list[requests.Response] = []
        self.broken: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            try:
                answer = requests.post(f"{self._url}/orders", json=ORDER, timeout=30)
            except requests.RequestException as error:
                self.broken.append(type(error).__name__)
            else:
                if answer.status_code == 202:
                    self.accepted.append(answer.json()["order_id"])
                else:
                    self.refused.append(answer)
            # Open model: who is late does not order less often.
            due += self._pause
            self._over.wait(max(0.0, due - time.monotonic()))


def state(url: str, order_id: str) -> dict[str, Any]:
    """What the gateway says of an order."""
    answer: dict[str, Any] = requests.get(f"{url}/orders/{order_id}", timeout=30).json()
    return answer
