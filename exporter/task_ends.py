"""How an attempt ends: each kind of end, counted once, wherever the task stood."""

from __future__ import annotations

from typing import Any

from exporter import events as ev
from exporter.attribution import UNKNOWN_NAME
from exporter.causes import WORKER_LOST, exception_class, rejects_itself
from exporter.task_books import TaskBooks
from exporter.task_memory import FINISHED, READY, REDELIVERED, RETRY, Task
from exporter.task_series import HostSeries, TaskSeries
from exporter.workers import Worker


class TaskEnds(TaskBooks):
    """The handlers of the events that end an attempt."""

    def _ended(self, event: Any, worker: Worker) -> tuple[TaskSeries, HostSeries, bool] | None:
        """Take a task out of all books at its end: its series, its counters, and whether it had ended before.

        None when this end must not be counted: it was counted before, or it is held until the task is known.
        """
        key = hash(event.uuid)
        memory = self.memory
        task = memory.running.pop(key, None)
        if task is None:
            task = memory.waiting.pop(key, None)
            if task is not None:
                memory.release(task)
        if task is not None:
            series, state = task.series, task.state
        else:
            if key in memory.done or key in memory.done_before:
                self.duplicates += 1
                return None
            if self.hold(key, None, event, worker):
                return None
            series, state = self.guessed(UNKNOWN_NAME, worker), 0
        memory.done[key] = series
        return series, self.host(series, worker), bool(state & FINISHED)

    def succeeded(self, event: ev.Succeeded, worker: Worker) -> None:
        """The task returned."""
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, again = ended
        host.succeeded += 1
        series.again_succeeded += again
        if event.runtime is not None:
            host.runtime.observe(event.runtime if event.runtime > 0.0 else 0.0)

    def failed(self, event: ev.Failed, worker: Worker) -> None:
        """The task failed for good."""
        if rejects_itself(event.exception):
            return  # task-rejected follows
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, again = ended
        error = exception_class(event.exception, event.traceback)
        host.failed += 1
        series.failures += 1
        series.again_failed += again
        self.book.failure(series, host, self.worker_hostname or worker.hostname, error)
        self.children_lost += error == WORKER_LOST

    def revoked(self, event: ev.Revoked, worker: Worker) -> None:
        """The task expired, was terminated, or was revoked before it could start."""
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, again = ended
        host.revoked += 1
        series.again_revoked += again
        if event.expired:
            series.revocations_expired += 1
        elif event.terminated:
            series.revocations_terminated += 1
        else:
            series.revocations_revoked += 1

    def rejected(self, event: ev.Rejected, worker: Worker) -> None:
        """The message was refused: for good, or back into its queue."""
        if event.requeue:
            self._back_to_queue(event, worker, counted=True)
            return
        ended = self._ended(event, worker)
        if ended is None:
            return
        series, host, again = ended
        host.rejected += 1
        series.rejections_dropped += 1
        series.again_rejected += again

    def cancelled(self, event: ev.Cancelled, worker: Worker) -> None:
        """The worker gave the task up; the broker delivers it again."""
        self._back_to_queue(event, worker, counted=False)

    def _back_to_queue(self, event: ev.Rejected | ev.Cancelled, worker: Worker, *, counted: bool) -> None:
        """The message is in its queue again: it waits from now on, and its next start is a redelivery."""
        key = hash(event.uuid)
        run = self.memory.running.pop(key, None)
        task = self.memory.waiting.pop(key, None)
        if task is not None:
            self.memory.release(task)
        if run is not None:
            series, state = run.series, run.state & FINISHED | REDELIVERED
        elif task is not None:
            series, state = task.series, task.state & (FINISHED | RETRY)
        else:
            if self.hold(key, None, event, worker):
                return
            series, state = self.guessed(UNKNOWN_NAME, worker), REDELIVERED
        if counted:
            self.host(series, worker).rejected += 1
            series.rejections_requeued += 1
            self.children_lost += run is not None
        self.memory.put(key, Task(series, event.timestamp or self.wall, state | READY))

    def retried(self, event: ev.Retried, worker: Worker) -> None:
        """This attempt is over; the next has been published, and may have been announced or even received already."""
        key = hash(event.uuid)
        memory = self.memory
        task = memory.running.pop(key, None) or memory.waiting.get(key)
        ended = memory.done.get(key) or memory.done_before.get(key)
        if task is not None:
            series = task.series
        elif ended is not None:
            # The last attempt was over before the worker got round to telling of this one.
            series = ended
        elif self.hold(key, None, event, worker):
            return
        else:
            series = self.guessed(UNKNOWN_NAME, worker)
        self.host(series, worker).retried += 1
        self.book.retry(series, exception_class(event.exception, event.traceback))
        if key not in memory.waiting and (task is not None or ended is None):
            # No announcement of the next attempt has come; its receipt will find the series here.
            memory.put(key, Task(series, self.wall, RETRY))
