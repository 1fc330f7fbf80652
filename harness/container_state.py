"""Reads how a container is from what the engine tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness import engine
from harness.way import Condition

# So many restarts in a row are a program that cannot start, not one that waits for its neighbours.
_RESTARTS = 3


def condition_of(inspected: Mapping[str, Any] | None) -> Condition:
    """The condition of one container, from `docker inspect`; None is a container that is gone."""
    if inspected is None:
        return Condition("exited", "its container is gone")
    state = inspected["State"]
    status = state["Status"]
    if status == "paused":
        return Condition("paused")
    if status == "restarting" or (status == "running" and inspected.get("RestartCount", 0) >= _RESTARTS):
        again = inspected.get("RestartCount", 0)
        if again >= _RESTARTS and not _healthy(state):
            return Condition("restarting", f"it ended with status {state['ExitCode']} {again} times")
    if status not in ("running", "restarting"):
        return Condition("exited", f"it is {status} with status {state['ExitCode']}")
    if status == "restarting" or not state.get("Health"):
        return Condition("starting" if status == "restarting" else "healthy")
    health = state["Health"]
    said = (health.get("Log") or [{}])[-1].get("Output", "").strip()
    return Condition(health["Status"], "" if _healthy(state) or not said else engine.last_line(said))


def _healthy(state: Mapping[str, Any]) -> bool:
    return bool(state.get("Health")) and state["Health"]["Status"] == "healthy"
