"""What must not be left of a stack that was taken down."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import psutil

from harness.processes import MARK

if TYPE_CHECKING:
    from harness.stack import Stack

_KINDS = {"container": ["ps", "-a"], "volume": ["volume", "ls"], "network": ["network", "ls"]}


def left_of(stack: Stack) -> list[str]:
    """Everything that is left of a stack: its processes, containers, volumes, networks and files, one line each."""
    left = [f"file {path}" for path in ([stack.run] if stack.run.exists() else [])]
    if stack.kind == "native":
        return left + [f"process {process.pid}: {_command(process)}" for process in _processes(stack.project)]
    label = f"label=com.docker.compose.project={stack.project}"
    for kind, command in _KINDS.items():
        done = subprocess.run(
            ["docker", *command, "--filter", label, "-q"], capture_output=True, text=True, timeout=60, check=True
        )
        left += [f"{kind} {line}" for line in done.stdout.split()]
    return left


def insist_on_nothing_left(stack: Stack) -> None:
    """Raise AssertionError naming all that is left of a stack that was taken down."""
    left = left_of(stack)
    if left:
        raise AssertionError(f"{stack.project} was taken down and left behind:\n  " + "\n  ".join(left))


def _processes(project: str) -> list[psutil.Process]:
    """What the harness started for this project, and all that this started: they carry its mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(f"{project}/"):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "gone meanwhile"
