"""The state of every queue on a Redis broker, as kombu keeps it: lists by priority, and what was delivered but not
acknowledged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from exporter.interfaces import BrokerFacts, BrokerReading, BrokerUnavailableError, QueueState
from exporter.redis_facts import read_facts
from exporter.redis_keyspace import Keyspace
from exporter.redis_link import ERRORS, Layout, RedisLink
from exporter.redis_messages import TAIL, Head, read_head
from exporter.redis_unacked import Unacked

log = logging.getLogger("exporter.redis_queues")

MAX_QUEUES = 2000
_CHUNK = 200

# The length of each list and the end of its oldest message, in one round trip and without moving large bodies.
_LISTS = """
local out = {}
for i, key in ipairs(KEYS) do
  local n = 0
  local tail = ''
  if redis.call('TYPE', key).ok == 'list' then
    n = redis.call('LLEN', key)
    tail = string.sub(redis.call('LINDEX', key, -1) or '', -tonumber(ARGV[1]))
  end
  out[i] = {n, tail}
end
return out
"""


class RedisQueueReader:
    """Reads queues and broker facts (a :class:`~exporter.interfaces.QueueReader`).

    ``published_at`` tells when a task was published, from its announcement, for messages that carry no stamp of their
    own; ``event_client`` gives the broker's number for the exporter's event connection.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        published_at: Callable[[str], float | None] = lambda _: None,
        event_client: Callable[[], int | None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._link = link
        self._layout: Layout = link.layout
        self._published_at = published_at
        self._event_client = event_client
        self._wall = wall
        self._client: redis.Redis | None = None
        self._keyspace = Keyspace(self._layout)
        self._unacked = Unacked(self._layout)
        self._scripts_allowed = True
        # The tail that was seen last for each list, and since when: its age is no less.
        self._tails: dict[str, tuple[str, float]] = {}

    def close(self) -> None:
        """Give the connection back."""
        client, self._client = self._client, None
        if client is not None:
            try:
                client.close()
            except ERRORS:
                log.debug("closing the connection failed")

    def read(self, names: Iterable[str]) -> BrokerReading:
        """See :meth:`exporter.interfaces.QueueReader.read`."""
        try:
            if self._client is None:
                self._client = self._link.client()
            return self._read(self._client, names)
        except BrokerUnavailableError:
            self.close()
            raise
        except ERRORS as error:
            self.close()
            raise BrokerUnavailableError(self._link.describe(error)) from None

    def _read(self, client: redis.Redis, names: Iterable[str]) -> BrokerReading:
        keyspace = self._keyspace
        keyspace.walk(client)
        unacked = self._unacked.read(client, keyspace.queue_of)
        found = sorted({*names, *keyspace.queues(), *unacked.queues})[:MAX_QUEUES]
        states: dict[str, QueueState] = {}
        now = self._wall()
        lists = [(name, step, self._layout.key(name, step)) for name in found for step in self._layout.steps]
        ends = self._ends(client, [key for _, _, key in lists])
        for (name, step, key), (length, end) in zip(lists, ends, strict=True):
            state = states.get(name)
            if state is None:
                state = states[name] = QueueState(ready=0, oldest_age=0.0, oldest_age_exact=True)
            state.ready = (state.ready or 0) + length
            state.ready_by_priority[step] = length
            age, exact = self._age(key, length, end, now)
            state.oldest_age_by_priority[step] = age
            if length and age >= (state.oldest_age or 0.0):
                state.oldest_age, state.oldest_age_exact = age, exact
        for name, state in states.items():
            share = unacked.queues.get(name)
            state.unacked = share.count if share else 0
            state.eta = share.eta if share else 0
            state.unacked_oldest_age = max(now - share.oldest, 0.0) if share and share.oldest else 0.0
        facts: BrokerFacts = read_facts(client, self._event_client())
        facts.transport = "redis"
        facts.visibility_timeout_seconds = self._layout.visibility_timeout
        facts.pidbox_keys = keyspace.pidbox_keys
        return BrokerReading(states, facts)

    def _ends(self, client: redis.Redis, keys: Sequence[str]) -> list[tuple[int, bytes]]:
        out: list[tuple[int, bytes]] = []
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            if self._scripts_allowed:
                try:
                    answer: Any = client.eval(_LISTS, len(chunk), *chunk, TAIL)
                    out.extend((int(length), bytes(end)) for length, end in answer)
                    continue
                except (redis.ResponseError, redis.AuthenticationError) as error:
                    if client.ping():
                        log.warning("the broker refuses scripts (%s): ages are not read", self._link.redact(error))
                        self._scripts_allowed = False
            # Without scripts there is no way to read the end of a message without all of it: lengths only.
            pipe = client.pipeline(transaction=False)
            for key in chunk:
                pipe.llen(key)
            lengths = pipe.execute(raise_on_error=False)
            out.extend((length if isinstance(length, int) else 0, b"") for length in lengths)
        return out

    def _age(self, key: str, length: int, end: bytes, now: float) -> tuple[float, bool]:
        """Seconds since the oldest message of a list was published, and whether that is exact."""
        if not length:
            self._tails.pop(key, None)
            return 0.0, True
        head = read_head(end) if end else Head()
        stamp = head.enqueued_at
        if stamp is None and head.task_id is not None:
            stamp = self._published_at(head.task_id)
        if stamp is not None:
            return max(now - stamp, 0.0), True
        mark = head.tag or head.task_id or ""
        seen = self._tails.get(key)
        if seen is None or seen[0] != mark:
            seen = self._tails[key] = (mark, now)
        return max(now - seen[1], 0.0), False
