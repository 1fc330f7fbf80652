"""Deletes what a stack that is down has kept: its data, in folders or in the engine's volumes."""

from __future__ import annotations

import shutil

from harness import engine
from harness.errors import HarnessError
from harness.paths import run_dir


def remove(project: str) -> None:
    """Delete all data of a project that does not run. Raises HarnessError where the engine refuses."""
    shutil.rmtree(run_dir(project), ignore_errors=True)
    if engine.refusal():
        return
    listed = engine.ask(["docker", "volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={project}"])
    volumes = listed.stdout.split() if listed else []
    if volumes:
        done = engine.ask(["docker", "volume", "rm", *volumes])
        if done is None or done.returncode:
            raise HarnessError(
                f"volumes of {project} cannot be deleted: {engine.last_line(done.stderr if done else '')}"
            )
