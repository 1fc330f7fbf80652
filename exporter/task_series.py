"""What is counted for one task on one queue: plain numbers on plain objects, so that counting costs next to nothing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from exporter.births import Births
from exporter.labels import pairs


class Histogram:
    """Counts per bucket (not cumulative) and the sum of what was observed."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count ``value``; a bucket includes its upper bound."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class ErrorCount:
    """A counter that is born when an exception class is seen for the first time."""

    __slots__ = ("born", "labels", "number", "value")

    def __init__(self, labels: str, births: Births) -> None:
        self.labels = labels
        self.number, self.born = births.next()
        self.value = 0


class HostSeries:
    """The counters that carry a ``hostname`` label in the drop-in mode, and only name and queue otherwise.

    ``labels`` is the text between the braces.
    """

    __slots__ = (
        "born",
        "errors",
        "failed",
        "labels",
        "number",
        "received",
        "rejected",
        "retried",
        "revoked",
        "runtime",
        "sent",
        "started",
        "succeeded",
        "wait",
    )

    def __init__(self, labels: str, births: Births, buckets: Sequence[float], wait_buckets: Sequence[float]) -> None:
        self.labels = labels
        self.number, self.born = births.next()
        self.sent = self.received = self.started = self.succeeded = 0
        self.failed = self.rejected = self.revoked = self.retried = 0
        self.runtime = Histogram(buckets)
        self.wait = Histogram(wait_buckets)
        self.errors: dict[str, ErrorCount] = {}


class TaskSeries:
    """Everything counted for one (task, queue); born at 0 as soon as the pair is known.

    ``hosts`` holds the counters by the host name that they are labelled with; without ``--task-hostname`` there is one
    entry, under the empty name.
    """

    __slots__ = (
        "again_failed",
        "again_rejected",
        "again_revoked",
        "again_succeeded",
        "attempts_redelivered",
        "attempts_retry",
        "born",
        "failures",
        "hosts",
        "labels",
        "name",
        "number",
        "only",
        "queue",
        "rejections_dropped",
        "rejections_requeued",
        "retry_errors",
        "revocations_expired",
        "revocations_revoked",
        "revocations_terminated",
    )

    def __init__(self, name: str, queue: str, static: Mapping[str, str], births: Births, only: HostSeries | None):
        self.name = name
        self.queue = queue
        self.labels = pairs({"name": name, "queue_name": queue, **static})
        self.number, self.born = births.next()
        self.only = only
        self.hosts: dict[str, HostSeries] = {} if only is None else {"": only}
        self.failures = 0
        # Ends of tasks that had ended before, so that what remains is tasks, each counted once.
        self.again_succeeded = self.again_failed = self.again_rejected = self.again_revoked = 0
        self.attempts_retry = self.attempts_redelivered = 0
        self.rejections_requeued = self.rejections_dropped = 0
        self.revocations_expired = self.revocations_terminated = self.revocations_revoked = 0
        self.retry_errors: dict[str, ErrorCount] = {}

    def total(self, counter: str) -> int:
        """The sum of one of :class:`HostSeries`' counters over all hosts."""
        return sum(getattr(host, counter) for host in list(self.hosts.values()))


class SeriesBook:
    """Makes and keeps the task series, up to a limit.

    Above the limit new pairs share one series that is never shown, and :attr:`refused` counts, by metric, what was
    turned away. Labels never hold anything but the task's name, its queue, the exception's class and the host.
    """

    def __init__(
        self,
        *,
        births: Births,
        buckets: Sequence[float],
        wait_buckets: Sequence[float],
        static: Mapping[str, str],
        limit: int,
        by_host: bool,
    ) -> None:
        self._births = births
        self.buckets = buckets
        self.wait_buckets = wait_buckets
        self._static = static
        self._limit = limit
        self.by_host = by_host
        self.series: dict[tuple[str, str], TaskSeries] = {}
        self.refused: dict[str, int] = {}
        self._host_count = 0
        self._error_count = 0
        # What is refused is counted somewhere, so that counting needs no special case; nobody ever sees it.
        unseen = Births()
        self._hidden_host = HostSeries("", unseen, buckets, wait_buckets)
        self.hidden = TaskSeries("", "", {}, unseen, self._hidden_host)

    def get(self, name: str, queue: str) -> TaskSeries:
        """Return the series of this task on this queue, new where it has to be."""
        found = self.series.get((name, queue))
        return found if found is not None else self._make(name, queue)

    def _make(self, name: str, queue: str) -> TaskSeries:
        if len(self.series) >= self._limit:
            self._refuse("task")
            return self.hidden
        only = None
        if not self.by_host:
            labels = pairs({"name": name, "queue_name": queue, **self._static})
            only = HostSeries(labels, self._births, self.buckets, self.wait_buckets)
        made = TaskSeries(name, queue, self._static, self._births, only)
        self.series[(name, queue)] = made
        return made

    def on_host(self, series: TaskSeries, hostname: str) -> HostSeries:
        """Return the counters of ``series`` for ``hostname`` (used with ``--task-hostname`` only)."""
        found = series.hosts.get(hostname)
        if found is not None:
            return found
        if series is self.hidden:
            return self._hidden_host
        if self._host_count >= self._limit:
            self._refuse("task_by_host")
            return self._hidden_host
        self._host_count += 1
        labels = pairs({"name": series.name, "hostname": hostname, "queue_name": series.queue, **self._static})
        made = HostSeries(labels, self._births, self.buckets, self.wait_buckets)
        series.hosts[hostname] = made
        return made

    def failure(self, series: TaskSeries, host: HostSeries, hostname: str, error: str) -> None:
        """Count a failure under its exception class."""
        found = host.errors.get(error)
        if found is None:
            labels = {"name": series.name, "hostname": hostname} if self.by_host else {"name": series.name}
            labels |= {"exception": error, "queue_name": series.queue, **self._static}
            found = self._error(host.errors, labels, error, "task_failed_total", series is self.hidden)
        if found is not None:
            found.value += 1

    def retry(self, series: TaskSeries, error: str) -> None:
        """Count a retry under the class of the exception that caused it."""
        found = series.retry_errors.get(error)
        if found is None:
            labels = {"name": series.name, "queue_name": series.queue, "exception": error, **self._static}
            found = self._error(series.retry_errors, labels, error, "task_retries_total", series is self.hidden)
        if found is not None:
            found.value += 1

    def _error(
        self, errors: dict[str, ErrorCount], labels: dict[str, str], error: str, metric: str, hidden: bool
    ) -> ErrorCount | None:
        if hidden:
            return None
        if self._error_count >= self._limit:
            self._refuse(metric)
            return None
        self._error_count += 1
        made = errors[error] = ErrorCount(pairs(labels), self._births)
        return made

    def _refuse(self, metric: str) -> None:
        self.refused[metric] = self.refused.get(metric, 0) + 1
