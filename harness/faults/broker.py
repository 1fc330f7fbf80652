"""Faults of the broker."""

from __future__ import annotations

from harness.faults.context import Context, Record

_REDIS = "redis"


def stop(context: Context, record: Record) -> None:
    """Redis ends in good order, and is away."""
    context.log.add(record)
    context.stack.stop(_REDIS)


def start(context: Context, record: Record) -> None:
    """Redis is back."""
    context.stack.start_service(_REDIS)


def restart(context: Context, record: Record) -> None:
    """Redis is killed and starts again from its append-only file."""
    context.log.add(record)
    context.stack.kill(_REDIS)
    context.stack.start_service(_REDIS)
