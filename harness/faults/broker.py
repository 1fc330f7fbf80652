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


def fill(context: Context, record: Record) -> None:
    """The limit is lowered to what is in use: as full as after a week of growth."""
    redis = context.redis
    record.memo["maxmemory"] = redis.config_get("maxmemory")["maxmemory"]
    context.log.add(record)
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]))


def make_room(context: Context, record: Record) -> None:
    """The limit is what it was."""
    if "maxmemory" in record.memo:
        context.redis.config_set("maxmemory", record.memo["maxmemory"])
