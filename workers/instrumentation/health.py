"""Whether a worker or beat is well: checks with a status, a time and a sentence each."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.instrumentation.broker import Broker
from workers.instrumentation.eventloop import View
from workers.instrumentation.verdict import Verdict

#: The loop looks around every second; this long without is a hang and not a busy machine.
STALL_SECONDS = 15.0
#: A consumer's fault, or a task that no free process starts, that lasts this long is not a moment's.
FAULT_SECONDS = 10.0
STUCK_SECONDS = 20.0
#: A worker that finds no way back to a broker which answers others is stuck; so is one that never gets ready.
RECONNECT_SECONDS = 60.0


class Check:
    """A named question, asked when somebody wants to know."""

    def __init__(self, name: str, ask: Callable[[], Verdict]) -> None:
        self.name = name
        self._ask = ask

    def report(self) -> dict[str, Any]:
        """The verdict as JSON values: status, seconds that the answer took, and detail."""
        started = time.perf_counter()
        try:
            verdict = self._ask()
        except Exception as error:
            verdict = Verdict(False, f"the check itself failed: {type(error).__name__}")
        return {
            "status": "healthy" if verdict.ok else "unhealthy",
            "seconds": round(time.perf_counter() - started, 6),
            "detail": verdict.detail,
        }


class Health:
    """The checks of one process: those that say it has to be restarted, and those that say it can take work."""

    def __init__(self, live: list[Check], ready: list[Check]) -> None:
        self._live, self._ready = live, ready

    def live(self) -> tuple[bool, dict[str, Any]]:
        """Whether the process works. Not about the broker: restarting a worker mends no broker."""
        return _sum_up(self._live)

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether the process can take work now."""
        return _sum_up(self._ready)

    def everything(self) -> tuple[bool, dict[str, Any]]:
        """All checks, each once."""
        return _sum_up({check.name: check for check in [*self._live, *self._ready]}.values())


def _sum_up(checks: Any) -> tuple[bool, dict[str, Any]]:
    reports = {check.name: check.report() for check in checks}
    ok = all(report["status"] == "healthy" for report in reports.values())
    return ok, {"status": "healthy" if ok else "unhealthy", "checks": reports}


class WorkerChecks:
    """The checks of a worker node, from what its event loop writes down."""

    def __init__(self, worker: Any, view: View, broker: Broker, busy_since: Callable[[], float]) -> None:
        self._worker, self._view, self._broker, self._busy_since = worker, view, broker, busy_since

    def health(self) -> Health:
        """Event loop, consumer and pool for liveness; broker, consumer and phase for readiness."""
        loop, consumer = Check("event_loop", self._event_loop), Check("worker", self._consumer)
        pool, broker = Check("pool", self._pool), Check("broker", self._broker.verdict)
        return Health([loop, consumer, pool], [Check("phase", self._phase), broker, consumer])

    def _event_loop(self) -> Verdict:
        view, now = self._view, time.monotonic()
        silent = now - view.turned_at
        if view.phase != "running":
            return Verdict(True, f"not turning: the worker is {view.phase}")
        if silent < STALL_SECONDS:
            return Verdict(True, f"turned {silent:.1f} s ago")
        if busy := self._busy_since():
            # The solo pool runs tasks in the loop's own thread: it cannot turn meanwhile.
            return Verdict(True, f"busy with a task for {now - busy:.0f} s")
        return Verdict(False, f"has not turned for {silent:.0f} s")

    def _consumer(self) -> Verdict:
        view, now = self._view, time.monotonic()
        if view.phase == "stopping":
            return Verdict(True, "shutting down")
        if view.phase != "running":
            waiting = now - view.phase_since
            broker = self._broker.verdict()
            if waiting < RECONNECT_SECONDS or not broker.ok:
                return Verdict(True, f"{view.phase} for {waiting:.0f} s: {broker.detail}")
            return Verdict(False, f"{view.phase} for {waiting:.0f} s although the broker answers")
        if view.consumer_fault and now - view.consumer_fault_since >= FAULT_SECONDS:
            return Verdict(False, f"{view.consumer_fault}, for {now - view.consumer_fault_since:.0f} s")
        if view.stuck_since and now - view.stuck_since >= STUCK_SECONDS:
            return Verdict(False, f"no free process starts the waiting task, for {now - view.stuck_since:.0f} s")
        return Verdict(True, "consuming")

    def _pool(self) -> Verdict:
        processes = pool_processes(self._worker)
        if processes is None:
            return Verdict(True, "no processes in this pool")
        able = sum(_can_run(pid) for pid in processes)
        if not able and self._view.phase == "running":
            return Verdict(False, f"none of {len(processes)} processes can run")
        return Verdict(True, f"{able} of {len(processes)} processes can run")

    def _phase(self) -> Verdict:
        return Verdict(self._view.phase == "running", f"the worker is {self._view.phase}")


def pool_processes(worker: Any) -> list[int] | None:
    """Process ids of a prefork pool's children, or None where the pool has none."""
    inner = getattr(getattr(worker, "pool", None), "_pool", None)
    processes = getattr(inner, "_pool", None)
    if not isinstance(processes, list):
        return None
    return [process.pid for process in list(processes) if getattr(process, "pid", None)]


def _can_run(pid: int) -> bool:
    """False for a process that is gone, dead or stopped; where there is no /proc every process counts."""
    if not Path("/proc/self/stat").exists():
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in "TtZX"
