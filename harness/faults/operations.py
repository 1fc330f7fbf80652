"""How each fault is done and undone.

An operation takes the context and its record; what it writes into `record.memo` is what undoing needs. Undoing
twice, or after a half-done injection, is harmless.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from harness.faults import broker, fleet, tasks
from harness.faults.context import Context, Record

Step = Callable[[Context, Record], None]


@dataclass(frozen=True)
class Operation:
    """The two halves of a fault."""

    do: Step
    undo: Step


OPERATIONS: dict[str, Operation] = {
    "backlog": Operation(tasks.backlog, tasks.clear),
    "slow": Operation(tasks.slow, tasks.clear),
    "fail": Operation(tasks.fail, tasks.clear),
    "retry-storm": Operation(tasks.retry, tasks.clear),
    "hang": Operation(tasks.hang, tasks.clear),
    "poison": Operation(tasks.poison, tasks.clear),
    "starve": Operation(tasks.starve, tasks.clear),
    "hoard": Operation(tasks.hoard, tasks.nothing),
    "expired": Operation(tasks.expired, tasks.nothing),
    "unread-queue": Operation(tasks.unread, tasks.purge),
    "cardinality": Operation(tasks.cardinality, fleet.restart_exporter),
    "kill-child": Operation(fleet.kill_child, tasks.clear),
    "kill-worker": Operation(fleet.kill_worker, fleet.start_worker),
    "freeze-worker": Operation(fleet.freeze_worker, fleet.thaw_worker),
    "stop-workers": Operation(fleet.stop_workers, fleet.start_workers),
    "exporter-down": Operation(fleet.stop_exporter, fleet.start_exporter),
    "beat-down": Operation(fleet.stop_beat, fleet.start_beat),
    "beat-silent": Operation(fleet.freeze_beat, fleet.thaw_beat),
    "events-off": Operation(fleet.start_unseen, fleet.remove_unseen),
    "catatonic": Operation(fleet.limit_rate, fleet.restart_worker),
    "broker-down": Operation(broker.stop, broker.start),
    "broker-full": Operation(broker.fill, broker.make_room),
    "redis-restart": Operation(broker.restart, tasks.nothing),
}


def undo(context: Context, record: Record) -> None:
    """Undo one fault and forget it. It is forgotten even where undoing fails, after the error was raised."""
    with contextlib.ExitStack() as stack:
        stack.callback(context.log.remove, record)
        OPERATIONS[record.name].undo(context, record)
