"""Ordering over HTTP: the gateway's answers, put in the words of the follower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geventhttpclient.useragent import UserAgent

from loadgen.follower import Outcome
from workers.catalogue import ACCEPT_ORDER

#: Seconds until a gateway that does not answer counts as failed.
TIMEOUT = 15
#: Orders asked for in one round: each is a request of its own.
ROUND = 50


def order() -> dict[str, Any]:
    """The body of one order; the gateway gives it its id."""
    (example, *_) = ACCEPT_ORDER.example
    if not isinstance(example, dict):
        raise TypeError(f"the example of {ACCEPT_ORDER.name} is no order")
    return {name: value for name, value in example.items() if name != "order_id"}


class Orders:
    """The state of orders, asked from the gateway. These requests are not reported as load."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._client = UserAgent(connection_timeout=TIMEOUT, network_timeout=TIMEOUT)

    def outcomes(self, order_ids: Sequence[str]) -> dict[str, Outcome]:
        """The outcomes of those orders that have ended, of the first few asked for."""
        outcomes = {}
        for order_id in order_ids[:ROUND]:
            answer = self._client.urlopen(f"{self._target}/orders/{order_id}").json()
            if answer.get("status") == "succeeded":
                outcomes[order_id] = Outcome()
            elif answer.get("status") == "failed":
                outcomes[order_id] = Outcome(error="failed")
        return outcomes
