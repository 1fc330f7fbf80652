"""Faults of tasks and queues: what is published, and what happens to a task when it starts."""

from __future__ import annotations

import time

from harness.faults.context import Context, Record, text
from harness.faults.table import FaultError
from harness.wait import until
from workers import faults as workers_faults
from workers.faults import Fault


def _put(context: Context, record: Record, scope: str, **settings: float | bool | str) -> None:
    """Put a fault on a scope, and remember the scope for `clear`."""
    try:
        fault = Fault(**settings)  # type: ignore[arg-type]
        record.memo.setdefault("scopes", []).append(scope)
        context.log.add(record)
        workers_faults.set_fault(context.redis, scope, fault)
    except ValueError as error:
        raise FaultError(f"{record.name}: {error}") from None


def _wait_until_read() -> None:
    """Return once each worker has read the fault: before, it would run the tasks that are sent next as if healthy."""
    due = time.monotonic() + workers_faults.CACHE_SECONDS
    until(lambda: time.monotonic() >= due, "workers to read the fault", timeout=30 + workers_faults.CACHE_SECONDS)


def nothing(context: Context, record: Record) -> None:
    """There is nothing to undo."""


def clear(context: Context, record: Record) -> None:
    """Take the faults off again."""
    for scope in record.memo.get("scopes", []):
        workers_faults.clear_fault(context.redis, scope)


def backlog(context: Context, record: Record) -> None:
    """Many tasks at once, each of which takes long."""
    queue = text(record.params, "queue")
    _put(context, record, f"queue:{queue}", latency_seconds=float(record.params["seconds"]))
    _wait_until_read()
    context.producer.send(queue, int(record.params["size"]))


def slow(context: Context, record: Record) -> None:
    """Every task in the scope takes longer."""
    _put(context, record, text(record.params, "scope"), latency_seconds=float(record.params["seconds"]))


def fail(context: Context, record: Record) -> None:
    """A fraction of the tasks in the scope ends with an exception."""
    exception = text(record.params, "exception")
    _put(context, record, text(record.params, "scope"), fail_rate=float(record.params["rate"]), exception=exception)


def retry(context: Context, record: Record) -> None:
    """A fraction of the attempts in the scope asks to be retried."""
    _put(context, record, text(record.params, "scope"), retry_rate=float(record.params["rate"]))


def hang(context: Context, record: Record) -> None:
    """Tasks in the scope do not end."""
    _put(context, record, text(record.params, "scope"), hang=True)


def poison(context: Context, record: Record) -> None:
    """Messages that kill whoever runs them, and return."""
    queue = text(record.params, "queue")
    _put(context, record, f"queue:{queue}", kill_child=True)
    _wait_until_read()
    context.producer.send(queue, int(record.params["size"]))


def starve(context: Context, record: Record) -> None:
    """Urgent tasks (on Redis priority 0) in such numbers that the others (9) do not get a turn."""
    queue = text(record.params, "queue")
    _put(context, record, f"queue:{queue}", latency_seconds=1.0)
    _wait_until_read()
    context.producer.send(queue, int(record.params["size"]), priority=0)
    context.producer.send(queue, int(record.params["waiting"]), priority=9)


def hoard(context: Context, record: Record) -> None:
    """Tasks with a far ETA: a worker takes every one of them at once and holds it."""
    queue = text(record.params, "queue")
    context.producer.send(queue, int(record.params["size"]), countdown=float(record.params["seconds"]))


def expired(context: Context, record: Record) -> None:
    """Tasks whose time is over when a worker takes them."""
    context.producer.send(text(record.params, "queue"), int(record.params["size"]), expires=-1)


def unread(context: Context, record: Record) -> None:
    """Tasks for a queue without a worker."""
    queue = text(record.params, "queue")
    record.memo["purge"] = [queue]
    context.log.add(record)
    context.producer.send(queue, int(record.params["size"]))


def purge(context: Context, record: Record) -> None:
    """Empty the queues that the fault filled and nobody else uses."""
    for queue in record.memo.get("purge", []):
        _purge(context, queue)


def cardinality(context: Context, record: Record) -> None:
    """Events of tasks with invented names: what the exporter sees of a producer that builds names from data."""
    app = context.producer.app
    queue = text(record.params, "queue")
    with app.connection_for_write() as connection, app.events.Dispatcher(connection, hostname="harness") as events:
        for number in range(int(record.params["names"])):
            events.send(
                "task-sent",
                uuid=f"{record.id}-{number}",
                name=f"invented.{record.id}.{number}",
                queue=queue,
                retries=0,
                args="()",
                kwargs="{}",
            )


def _purge(context: Context, queue: str) -> None:
    app = context.producer.app
    with app.connection_for_write() as connection, connection.channel() as channel:
        channel.queue_purge(queue)
        channel.queue_delete(queue)


def kill_children(context: Context, record: Record) -> None:
    """Every process that starts a task in the scope is killed."""
    _put(context, record, text(record.params, "scope"), kill_child=True)
