"""The event stream of a Celery fleet on Redis, as the bytes that a fleet would have written.

A task is four events: its producer publishes ``task-sent`` alone on ``task.sent``; its worker publishes
``task-received``, ``task-started`` and ``task-succeeded`` on ``task.multi``, as JSON lists of up to 24 events. Both
are wrapped as kombu wraps them: a JSON envelope with the events in base64 in ``body``. Field names, their order and
the spaces between them are those of Celery 5.7; tests/fleets compares them with a real worker's.
"""

from __future__ import annotations

import itertools
import time
from binascii import b2a_base64
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

TASKS_IN_BATCH = 8
EVENTS_OF_TASK = {"task-received": 1, "task-started": 1, "task-succeeded": 1}
BATCH = TASKS_IN_BATCH * len(EVENTS_OF_TASK)  # 24: the buffer limit of Celery's event dispatcher
HEARTBEAT_SECONDS = 2.0

_ENVELOPE = (
    '{"body": "%%s", "content-encoding": "utf-8", "content-type": "application/json", '
    '"headers": {"hostname": "%s"}, "properties": {"delivery_mode": 1, '
    '"delivery_info": {"exchange": "celeryev", "routing_key": "%s"}, "priority": 0, '
    '"body_encoding": "base64", "delivery_tag": "00000000-0000-4000-8000-%%012x"}}'
)
_COMMON = '{"hostname": "%s", "utcoffset": 0.0, "pid": 4000, "clock": %%d, "uuid": "%%s", '
_SENT = (
    '"root_id": "%%s", "parent_id": null, "name": "%s", "args": "(1, 2)", "kwargs": "{}", "retries": 0, "eta": null, '
    '"expires": null, "queue": "%s", "exchange": "", "routing_key": "%s", "timestamp": %%.6f, "type": "task-sent"}'
)
_RECEIVED = (
    '"name": "%s", "args": "(1, 2)", "kwargs": "{}", "root_id": "%%s", "parent_id": null, "retries": 0, "eta": null, '
    '"expires": null, "timestamp": %%.6f, "type": "task-received"}'
)
_STARTED = '"timestamp": %.6f, "type": "task-started"}'
_SUCCEEDED = '"result": "3", "runtime": 0.0123, "timestamp": %.6f, "type": "task-succeeded"}'
_HEARTBEAT = (
    '{"hostname": "%s", "utcoffset": 0.0, "pid": 4000, "clock": %d, "freq": 2.0, "active": 2, "processed": %d, '
    '"loadavg": [0.1, 0.25, 0.2], "sw_ident": "py-celery", "sw_ver": "5.7.0", "sw_sys": "Linux", '
    '"timestamp": %.6f, "type": "worker-heartbeat"}'
)


def publish_command(channel: str, message: bytes) -> bytes:
    """One PUBLISH as Redis' protocol has it."""
    name = channel.encode()
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name, len(message), message)


@dataclass
class _Worker:
    """One worker with the task and queue of each of the eight places of its batches."""

    name: str
    tasks: list[tuple[str, str]]
    processed: int = 0
    batch: str = field(init=False)
    sent: list[str] = field(init=False)

    def __post_init__(self) -> None:
        common = _COMMON % self.name
        received = [common + _RECEIVED % task for task, _queue in self.tasks]
        rest = [common + _STARTED, common + _SUCCEEDED]
        self.batch = "[" + ", ".join(received + rest * TASKS_IN_BATCH) + "]"
        producer = _COMMON % "gen17@web"
        self.sent = [producer + _SENT % (task, queue, queue) for task, queue in self.tasks]


class Stream:
    """An endless fleet: every call of ``batch`` is eight new tasks from sent to succeeded.

    ``names`` x ``queues`` is the number of (task, queue) pairs; ``sent`` says whether producers publish
    ``task-sent``; ``first`` is the number of the first task, so that two streams can be told apart.
    ``counts`` is what was made so far, by event type.
    """

    def __init__(self, *, workers: int = 4, names: int = 5, queues: int = 4, sent: bool = True, first: int = 0) -> None:
        pairs = itertools.cycle([(f"app.tasks.task_{n}", f"queue_{q}") for n in range(names) for q in range(queues)])
        # Enough workers' templates that every pair occurs, whatever the number of pairs.
        templates = max(workers, -(-names * queues // TASKS_IN_BATCH))
        self.workers = [
            _Worker(f"worker{n % workers}@host{n % workers}", [next(pairs) for _ in range(TASKS_IN_BATCH)])
            for n in range(templates)
        ]
        self.sent = sent
        self.counts: Counter[str] = Counter()
        self._distinct = workers
        self._task = first
        self._clock = 0
        self._turn = itertools.cycle(self.workers)
        self._wrap_batch = {w.name: _ENVELOPE % (w.name, "task.multi") for w in self.workers}
        self._wrap_sent = _ENVELOPE % ("gen17@web", "task.sent")

    @property
    def events_in_batch(self) -> int:
        """How many events one call of ``batch`` makes."""
        return BATCH + (TASKS_IN_BATCH if self.sent else 0)

    def batch(self) -> bytes:
        """The PUBLISH commands of the next eight tasks."""
        worker = next(self._turn)
        now = time.time() - 0.05  # when the first of the eight was sent
        ids = [f"5eed0000-0000-4000-8000-{self._task + n:012x}" for n in range(TASKS_IN_BATCH)]
        self._task += TASKS_IN_BATCH
        commands = []
        if self.sent:
            for template, task in zip(worker.sent, ids, strict=True):
                event = template % (self._tick(), task, task, now)
                commands.append(publish_command("/0.celeryev/task.sent", self._wrap(self._wrap_sent, event)))
            self.counts["task-sent"] += TASKS_IN_BATCH
        values: list[object] = []
        for task in ids:
            values += (self._tick(), task, task, now + 0.02)
        for task in ids:
            values += (self._tick(), task, now + 0.03, self._tick(), task, now + 0.0423)
        body = self._wrap(self._wrap_batch[worker.name], worker.batch % tuple(values))
        commands.append(publish_command("/0.celeryev/task.multi", body))
        for kind in EVENTS_OF_TASK:
            self.counts[kind] += TASKS_IN_BATCH
        worker.processed += TASKS_IN_BATCH
        return b"".join(commands)

    def heartbeats(self) -> bytes:
        """The PUBLISH commands of one heartbeat of every worker, with the tasks that it accepted so far."""
        processed: Counter[str] = Counter()
        for worker in self.workers:
            processed[worker.name] += worker.processed
        commands = []
        for name, accepted in processed.items():
            event = _HEARTBEAT % (name, self._tick(), accepted, time.time())
            envelope = _ENVELOPE % (name, "worker.heartbeat")
            commands.append(publish_command("/0.celeryev/worker.heartbeat", self._wrap(envelope, event)))
        self.counts["worker-heartbeat"] += len(processed)
        return b"".join(commands)

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    def _wrap(self, envelope: str, events: str) -> bytes:
        body = b2a_base64(events.encode(), newline=False).decode()
        return (envelope % (body, self._clock)).encode()


def paced(stream: Stream, *, events: int, rate: float | None) -> Iterator[bytes]:
    """Chunks of the stream until ``events`` task events are made, at ``rate`` events a second (None: unpaced).

    Heartbeats come every two seconds, as workers send them, and once at the end. A chunk that is not due yet is
    held back here, so the caller only writes.
    """
    begun = beat = time.monotonic()
    yield stream.heartbeats()
    made = 0
    while made < events:
        now = time.monotonic()
        if now - beat >= HEARTBEAT_SECONDS:
            beat = now
            yield stream.heartbeats()
        # Some 16 batches a write: fewer system calls than one each, and still 50 writes a second at 20,000 events/s.
        chunk = []
        while made < events and len(chunk) < 16:
            chunk.append(stream.batch())
            made += stream.events_in_batch
        yield b"".join(chunk)
        if rate:
            ahead = begun + made / rate - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)  # the pace itself: nothing to wait for
    yield stream.heartbeats()
