"""Facts about the Redis server that alerts need."""

from __future__ import annotations

from typing import Any

import redis

from exporter.interfaces import BrokerFacts


def read_facts(client: redis.Redis, event_client: int | None) -> BrokerFacts:
    """Ask INFO, and CLIENT LIST for the event connection; what the server refuses to tell stays ``None``."""
    facts = BrokerFacts()
    try:
        info: Any = client.info()
    except redis.ResponseError:
        info = {}
    facts.version = str(info.get("redis_version", ""))
    facts.memory_used_bytes = _whole(info.get("used_memory"))
    facts.memory_max_bytes = _whole(info.get("maxmemory"))
    facts.evicted_keys = _whole(info.get("evicted_keys"))
    facts.connected_clients = _whole(info.get("connected_clients"))
    policy = info.get("maxmemory_policy")
    facts.eviction_policy = str(policy) if policy else None
    if event_client is not None:
        try:
            listed: Any = client.client_list(client_id=[str(event_client)])
        except redis.ResponseError:
            listed = []
        for entry in listed if isinstance(listed, list) else []:
            if str(entry.get("id")) == str(event_client):
                facts.events_output_buffer_bytes = _whole(entry.get("omem"))
    return facts


def _whole(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
