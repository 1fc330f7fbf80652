"""Everything about one copy of a service as a plain process: its folders, command, environment, health check."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import native_config, programs
from harness.compose_model import Service
from harness.native_state import Copy
from harness.translate import Translator, neighbours
from harness.way import Plan

_SUPERVISE = Path(__file__).with_name("supervise.sh")


class Layout:
    """Where a project's plain processes keep their things, below its run folder."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.volumes = run / "volumes"
        self.tmp = run / "tmp"
        self.logs = run / "logs"
        self.config = run / "config"
        self.targets = run / native_config.TARGETS
        self.shims = run / "bin"

    def log(self, copy: Copy) -> Path:
        return self.logs / f"{copy.name}.log"


class CopyView:
    """One copy seen through its service's description, translated for this machine."""

    def __init__(self, plan: Plan, layout: Layout, copy: Copy, ports: Mapping[str, Mapping[int, int]]) -> None:
        self._plan, self._layout, self.copy = plan, layout, copy
        self.service: Service = plan.model.services[copy.service]
        self._translator = Translator(
            paths=self._paths(),
            ports=copy.ports,
            neighbours=neighbours(plan.model.services, ports),
        )

    @property
    def home(self) -> Path:
        """The copy's own folder, which is emptied when it starts, as a container's file system is."""
        return self._layout.tmp / self.copy.name

    def _paths(self) -> dict[str, str]:
        paths = {}
        for mount in self.service.mounts:
            if mount.kind == "volume":
                here = self._layout.volumes / mount.source
            elif mount.kind == "tmpfs":
                here = self.home / mount.target.strip("/").replace("/", "-")
            elif mount.target in self.service.native_render:
                here = self._layout.config / self.service.name / mount.target.strip("/").replace("/", "-")
            else:
                here = Path(mount.source)
            paths[mount.target] = str(here)
        return paths

    def make_folders(self) -> None:
        """Volumes that are not there yet, fresh scratch folders, and the configuration as it reads here."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        for mount in self.service.mounts:
            if mount.kind != "bind":
                Path(self._translator.paths[mount.target]).mkdir(parents=True, exist_ok=True)
        self.render()

    def render(self) -> None:
        """Write the configuration that names other services."""
        for mount in self.service.mounts:
            if mount.target in self.service.native_render:
                native_config.copy(
                    Path(mount.source),
                    Path(self._translator.paths[mount.target]),
                    self._translator.text,
                    self._layout.targets,
                    [name for name, service in self._plan.services.items() if not service.native_absent],
                )

    @property
    def supervised(self) -> bool:
        """Whether it is started again when it ends by itself. As with Compose, an extra is not."""
        return self.service.restarts and self.copy.number > 0

    def command(self) -> list[str]:
        """The argument list that starts the copy."""
        words = self.copy.command or [*self.service.native_program, *self.service.command]
        command = programs.resolve([self._word(word) for word in words])
        return ["/bin/sh", str(_SUPERVISE), str(self._counter), *command] if self.supervised else command

    @property
    def _counter(self) -> Path:
        return self.home / "restarts"

    def restarts(self) -> tuple[int, int]:
        """How often it was started again since it was started, and the exit status of the last time."""
        if self._counter.is_file() and len(seen := self._counter.read_text(encoding="utf-8").split()) == 2:
            return int(seen[0]), int(seen[1])
        return 0, 0

    def _word(self, word: str) -> str:
        # Without containers every copy has the machine's name: the copy's own takes the host's place.
        return self._translator.text(word).replace("%h", self.copy.name)

    def environment(self) -> dict[str, str]:
        """The whole environment of the copy; nothing of the caller's shell but where programs are."""
        own = {**self.service.environment, **self.copy.environment}
        scratch = self._translator.paths.get("/tmp", str(self.home))  # noqa: S108 - the path inside a container
        first = (self.copy.command or [*self.service.native_program, *self.service.command])[0]
        return {
            "PATH": os.pathsep.join([str(self._layout.shims), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TMPDIR": scratch,
            "PYTHONPATH": str(self._plan.root),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **programs.environment(first),
            **{name: self._translator.value(name, value) for name, value in own.items()},
        }

    def run(self, command: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command with the copy's paths, ports and environment."""
        return subprocess.run(
            programs.resolve([self._word(word) for word in command]),
            env=self.environment(),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def check(self) -> str:
        """Run the health check: empty where it passes, else what it said."""
        health = self.service.health
        if health is None:
            return ""
        if health.shell:
            programs.write_shims(health.test[0], self._layout.shims)
        command = ["sh", "-c", *health.test] if health.shell else health.test
        try:
            # At least some seconds: a busy machine is not an unhealthy part.
            done = self.run(command, max(health.timeout, 5.0))
        except subprocess.TimeoutExpired:
            return f"its health check took longer than {max(health.timeout, 5.0):g} s"
        if done.returncode == 0:
            return ""
        return (done.stdout.strip().splitlines() or [f"its health check ended with status {done.returncode}"])[-1]
