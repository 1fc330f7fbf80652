"""The workers: alive, cleanly stopped or lost; what they say of themselves; and which of their events went missing."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exporter.births import Births
from exporter.events import Heartbeat, Offline, Online
from exporter.labels import clean, pairs

log = logging.getLogger("exporter.workers")

DEFAULT_FREQUENCY = 2.0
"""Seconds between heartbeats where a worker does not say; Celery's own default."""
_FREQUENCIES = (0.02, 300.0)
_QUIET_RISES = 3
_BUFFERED_EVENTS = 24
_SKEW_WINDOW = 30.0
_LOST_KEPT_LONGER = 3
# Two workers that share a name by mistake look like one that restarts with every heartbeat.
_RESTARTS_APART = 30.0


class Life(enum.Enum):
    """What is known of a worker. ``UNKNOWN``: it sent task events, but no sign of its own yet."""

    UNKNOWN = 0
    ALIVE = 1
    STOPPED = 2
    LOST = 3


class Worker:
    """One worker (one node name). Plain attributes: the counting thread writes them, the scrape reads them."""

    def __init__(self, node: str, static: Mapping[str, str], births: Births) -> None:
        name, at, host = clean(node).rpartition("@")
        self.node = clean(node)
        self.hostname = host if at else name or host
        self.labels = pairs({"hostname": self.hostname, "worker": self.node, **static})
        self.number, self.born = births.next()
        self.life = Life.UNKNOWN
        self.life_since = 0.0
        self.last_seen = 0.0
        self.heartbeat_at: float | None = None
        self.frequency = DEFAULT_FREQUENCY
        self.pid = 0
        self.active = 0
        self.processed: int | None = None
        self.software = ""
        self.version = ""
        self.reserved = 0
        self.started = 0
        self.task_events = 0
        self.events_lost = 0
        self.events_disabled = False
        self.pool = ""
        self.pool_size: int | None = None
        self.queues: tuple[str, ...] | None = None
        self._base = (0, 0)
        self._lost = 0
        self._missing_before = 0
        self._started_before = 0
        self._quiet = 0
        self._task_events_before = 0
        self._skews: list[float | None] = [None, None]
        self._skew_since = 0.0

    @property
    def skew(self) -> float | None:
        """Seconds by which this worker's clock is behind the exporter's: the smallest of late, so without delays."""
        known = [skew for skew in self._skews if skew is not None]
        return min(known) if known else None

    def note_skew(self, skew: float, now: float) -> None:
        """Take one difference between the time of receipt and the event's timestamp."""
        if now - self._skew_since > _SKEW_WINDOW:
            self._skews = [None, self._skews[0]]
            self._skew_since = now
        self._skews[0] = skew if self._skews[0] is None else min(self._skews[0], skew)

    def note_processed(self, pid: int, processed: int) -> None:
        """Compare what the worker has accepted, by its own count, with the starts that were heard of.

        A heartbeat overtakes at most the starts in the worker's buffer, and those arrive before the next one. So what
        was missing at the last heartbeat, less what has arrived since (but no more than a buffer holds), is lost for
        certain; when the worker rests, that is exact. A worker whose count rises and rises while no task event at all
        comes does not lose events: it does not send them.
        """
        heard = self.task_events != self._task_events_before
        self._task_events_before = self.task_events
        if pid != self.pid or self.processed is None or processed < self.processed:
            self.pid = pid
            self.events_disabled = False
            self._quiet = 0
            self._rebase(processed)
        rose = processed > (self.processed or 0)
        self.processed = processed
        if heard:
            if self.events_disabled:
                self._rebase(processed)
            self.events_disabled = False
            self._quiet = 0
        elif rose:
            self._quiet += 1
            if self._quiet >= _QUIET_RISES:
                self.events_disabled = True
                self._rebase(processed)
        if self.task_events and not self.events_disabled and (heard or not rose):
            arrived = self.started - self._started_before
            lost = self._missing_before - min(arrived, _BUFFERED_EVENTS)
            if lost > self._lost:
                self.events_lost += lost - self._lost
                self._lost = lost
        self._missing_before = (processed - self._base[0]) - (self.started - self._base[1])
        self._started_before = self.started

    def _rebase(self, processed: int) -> None:
        self._base = (processed, self.started)
        self._lost = self._missing_before = 0
        self._started_before = self.started


@dataclass(frozen=True, slots=True)
class WorkerAnswer:
    """What one worker said when it was asked. ``None`` means that this question was not answered."""

    node: str
    pool: str | None = None
    pool_size: int | None = None
    queues: tuple[str, ...] | None = None


class WorkerTable:
    """All workers by node name.

    ``gone`` is called for each worker that stops or is lost, so that its running tasks can be given up; ``new`` when a
    worker (or a new process of it) appears, so that it can be asked what it consumes.
    """

    def __init__(
        self,
        *,
        births: Births,
        static: Mapping[str, str],
        limit: int,
        timeout: float | None,
        missed_heartbeats: int,
        purge_after: float,
        gone: Callable[[Worker], None] = lambda _: None,
        new: Callable[[], None] = lambda: None,
    ) -> None:
        self._births = births
        self._static = static
        self._limit = limit
        self._timeout = timeout
        self._missed = missed_heartbeats
        self._purge_after = purge_after
        self.gone = gone
        self.new = new
        self.workers: dict[str, Worker] = {}
        self.lost_total = 0
        self.refused = 0
        self._hidden = Worker("", {}, Births())

    def get(self, node: str) -> Worker:
        """Return the worker of this name, new where it has to be."""
        found = self.workers.get(node)
        if found is not None:
            return found
        if len(self.workers) >= self._limit or not node:
            self.refused += bool(node)
            return self._hidden
        made = self.workers[node] = Worker(node, self._static, self._births)
        return made

    def heartbeat(self, event: Heartbeat | Online, now: float, wall: float) -> None:
        """Take a sign of life; received at ``now`` on a steady clock, at ``wall`` since the epoch, in seconds."""
        worker = self.get(event.hostname)
        if worker is self._hidden:
            return
        if self._restarted(worker, event) and now - worker.life_since > _RESTARTS_APART:
            log.warning("worker %s lost: another process has taken its name without a goodbye", worker.node)
            self.lost_total += 1
            self._end(worker, Life.LOST, now)
        if worker.life is not Life.ALIVE or event.pid != worker.pid:
            if worker.life is Life.LOST:
                log.info("worker %s is back", worker.node)
            worker.life, worker.life_since = Life.ALIVE, now
            self.new()
        worker.last_seen = now
        worker.heartbeat_at = wall
        worker.frequency = min(max(event.freq or DEFAULT_FREQUENCY, _FREQUENCIES[0]), _FREQUENCIES[1])
        worker.active = max(event.active or 0, 0)
        worker.software = clean(event.sw_ident or "")
        worker.version = clean(event.sw_ver or "")
        worker.note_skew(wall - event.timestamp, now)
        worker.note_processed(event.pid, max(event.processed or 0, 0))

    def _restarted(self, worker: Worker, event: Heartbeat | Online) -> bool:
        """Whether a live worker's process was replaced: another pid, or (in a container, the same) counting from 0."""
        if worker.life is not Life.ALIVE or worker.processed is None:
            return False
        return event.pid != worker.pid or (event.processed or 0) < worker.processed

    def offline(self, event: Offline, now: float) -> None:
        """A worker says goodbye."""
        worker = self.workers.get(event.hostname)
        if worker is None:
            return
        worker.last_seen = now
        self._end(worker, Life.STOPPED, now)

    def learn(self, answers: Iterable[WorkerAnswer]) -> None:
        """Take what workers said when they were asked; only of workers that are known."""
        for answer in answers:
            worker = self.workers.get(answer.node)
            if worker is None:
                continue
            if answer.pool is not None:
                worker.pool = clean(answer.pool)
            if answer.pool_size is not None:
                worker.pool_size = answer.pool_size
            if answer.queues is not None:
                worker.queues = answer.queues

    def alive(self) -> list[Worker]:
        """The workers that are up now."""
        return [worker for worker in list(self.workers.values()) if worker.life is Life.ALIVE]

    def grant(self, seconds: float) -> None:
        """Move every worker's last sign of life forward: for the time in which the exporter itself could not hear."""
        for worker in self.workers.values():
            worker.last_seen += seconds

    def hear_again(self, now: float) -> None:
        """The event stream is back after a break: nobody is judged by the silence before."""
        for worker in self.workers.values():
            worker.last_seen = now

    def limit_of(self, worker: Worker) -> float:
        """Seconds of silence after which this worker counts as lost; infinite when that is turned off."""
        if self._timeout is None:
            return self._missed * worker.frequency
        return self._timeout or float("inf")

    def tick(self, now: float) -> None:
        """Find the workers that went silent, and forget those that have been gone for long."""
        for node, worker in list(self.workers.items()):
            silent = now - worker.last_seen
            if worker.life is Life.ALIVE:
                if silent > self.limit_of(worker):
                    log.warning("worker %s lost: no heartbeat for %.1f s", worker.node, silent)
                    self.lost_total += 1
                    self._end(worker, Life.LOST, now)
            elif self._purge_after:
                kept = self._purge_after * (_LOST_KEPT_LONGER if worker.life is Life.LOST else 1)
                if now - max(worker.life_since, worker.last_seen) > kept:
                    del self.workers[node]

    def _end(self, worker: Worker, life: Life, now: float) -> None:
        worker.life, worker.life_since = life, now
        worker.active = worker.reserved = 0
        self.gone(worker)
