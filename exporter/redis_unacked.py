"""What Redis has delivered and no worker has acknowledged: running, prefetched, or waiting in a worker for its ETA."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import redis

from exporter.redis_link import Layout
from exporter.redis_messages import TAIL, Head, read_unacked

MAX_ENTRIES = 20_000
"""Entries that are looked at; where there are more, the queues' shares are scaled up."""
_MAX_NEW = 4000
_CHUNK = 500

_HEADS = """
local out = {}
for i, tag in ipairs(ARGV) do
  if i > 1 then
    local value = redis.call('HGET', KEYS[1], tag)
    out[i - 1] = value and string.sub(value, -tonumber(ARGV[1])) or ''
  end
end
return out
"""


@dataclass(slots=True)
class Share:
    """One queue's part: how many, how many of them with an ETA to come, and the oldest delivery (epoch seconds)."""

    count: int = 0
    eta: int = 0
    oldest: float = 0.0


@dataclass(slots=True)
class UnackedReading:
    """All queues' parts."""

    queues: dict[str, Share] = field(default_factory=dict)


class Unacked:
    """Reads the unacked hash; what a delivery tag stands for never changes, so it is fetched once."""

    def __init__(self, layout: Layout) -> None:
        self._hash = layout.prefix + layout.unacked
        self._index = layout.prefix + layout.unacked_index
        self._heads: dict[bytes, Head] = {}

    def read(self, client: redis.Redis, queue_of: Callable[[str | None, str | None], str]) -> UnackedReading:
        """Return the present state."""
        pipe = client.pipeline(transaction=False)
        pipe.hlen(self._hash)
        pipe.zrange(self._index, 0, MAX_ENTRIES - 1, withscores=True)
        total, entries = pipe.execute(raise_on_error=False)
        reading = UnackedReading()
        if not isinstance(total, int) or not isinstance(entries, list) or not total:
            self._heads.clear()
            return reading
        self._fetch(client, [bytes(tag) for tag, _ in entries])
        now = time.time()
        counted = 0
        for tag, delivered in entries:
            head = self._heads.get(bytes(tag))
            if head is None:
                continue
            queue = queue_of(head.exchange, head.routing_key)
            if not queue:
                continue
            counted += 1
            share = reading.queues.setdefault(queue, Share())
            share.count += 1
            share.eta += head.eta is not None and head.eta > now
            share.oldest = min(share.oldest, float(delivered)) if share.oldest else float(delivered)
        if counted and total > len(entries):
            for share in reading.queues.values():
                share.count = round(share.count * total / counted)
                share.eta = round(share.eta * total / counted)
        return reading

    def _fetch(self, client: redis.Redis, tags: list[bytes]) -> None:
        heads = {tag: self._heads[tag] for tag in tags if tag in self._heads}
        new = [tag for tag in tags if tag not in heads][:_MAX_NEW]
        for start in range(0, len(new), _CHUNK):
            chunk = new[start : start + _CHUNK]
            try:
                values: Any = client.eval(_HEADS, 1, self._hash, TAIL, *chunk)
            except redis.ResponseError:
                values = client.hmget(self._hash, chunk)
            for tag, value in zip(chunk, values, strict=True):
                if value:
                    heads[tag] = read_unacked(bytes(value))
        self._heads = heads
