"""RabbitMQ's management API: what AMQP itself does not tell, such as messages delivered and not acknowledged."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import requests

from exporter.interfaces import BrokerFacts, QueueState

TIMEOUT_SECONDS = 5.0
# Asking for these alone spares the broker from computing rates for every queue.
_QUEUE_COLUMNS = (
    "name,exclusive,messages_ready,messages_unacknowledged,consumers,head_message_timestamp,"
    "backing_queue_status.head_message_timestamp"
)
_NODE_COLUMNS = "mem_used,mem_limit,running"
_PIDBOX = ".pidbox"
_REPLIES = ".reply."
# Not queues of tasks: those of remote control and of events, the chain of queues that holds a quorum queue's delayed
# tasks (each task passes through many of them), and those that the broker named itself.
_NO_TASKS = ("celeryev.", "celery_delayed_", "amq.")


class ManagementError(Exception):
    """The management API cannot be asked; the message is one line without a password."""


class ManagementApi:
    """The management API of one RabbitMQ, for one virtual host.

    ``url`` is like ``http://user:password@host:15672``; where it names no user, ``user`` and ``password`` are those of
    the broker's URL. ``verify`` is a file of certificates to trust besides, or True for those of the system.
    """

    def __init__(self, url: str, vhost: str, *, user: str = "", password: str = "", verify: str | bool = True) -> None:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, host, parts.path.rstrip("/").removesuffix("/api"), "", ""))
        self._vhost = quote(vhost, safe="")
        self._session = requests.Session()
        self._session.auth = (unquote(parts.username or user), unquote(parts.password or password))
        self._session.verify = verify

    def queues(self) -> tuple[dict[str, QueueState], int]:
        """The state of every queue of tasks, and how many reply queues of remote control there are.

        :raises ManagementError: it does not answer, or not as it should.
        """
        found: dict[str, QueueState] = {}
        replies = 0
        for row in self._get(f"queues/{self._vhost}", columns=_QUEUE_COLUMNS):
            name = row.get("name")
            if not isinstance(name, str):
                continue
            if name.endswith(_PIDBOX):
                replies += _REPLIES in name
            elif not name.startswith(_NO_TASKS) and not row.get("exclusive"):
                found[name] = _state(row)
        return found, replies

    def facts(self) -> BrokerFacts:
        """Version, connections and memory, the latter over all running nodes.

        :raises ManagementError: it does not answer, or not as it should.
        """
        overview = self._get("overview", columns="rabbitmq_version,object_totals.connections")
        running = [node for node in self._get("nodes", columns=_NODE_COLUMNS) if node.get("running")]
        return BrokerFacts(
            version=str(overview.get("rabbitmq_version") or ""),
            connected_clients=_number((overview.get("object_totals") or {}).get("connections")),
            memory_used_bytes=sum(_number(node.get("mem_used")) or 0 for node in running) if running else None,
            memory_max_bytes=sum(_number(node.get("mem_limit")) or 0 for node in running) if running else None,
        )

    def close(self) -> None:
        """Give back connections; never raises."""
        self._session.close()

    def _get(self, path: str, **query: str) -> Any:
        try:
            answer = self._session.get(f"{self._base}/api/{path}", params=query, timeout=TIMEOUT_SECONDS)
            answer.raise_for_status()
            return answer.json()
        except (requests.RequestException, ValueError) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            reason = f"status {status}" if status else type(error).__name__
            raise ManagementError(f"{self._base}/api/{path.partition('/')[0]}: {reason}") from None


def _state(row: dict[str, Any]) -> QueueState:
    state = QueueState(
        ready=_number(row.get("messages_ready")),
        unacked=_number(row.get("messages_unacknowledged")),
        consumers=_number(row.get("consumers")),
    )
    # Only there where messages carry a timestamp, which RabbitMQ puts on them when it is told to.
    head = row.get("head_message_timestamp") or (row.get("backing_queue_status") or {}).get("head_message_timestamp")
    if stamp := _number(head):
        state.oldest_age = max(0.0, time.time() - stamp)
        state.oldest_age_exact = True
    return state


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
