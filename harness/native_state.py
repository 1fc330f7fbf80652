"""What runs of a project as plain processes, kept in a file so that the next command knows it too."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.processes import Identity


@dataclass
class Copy:
    """One copy of a service. `ports`: container port -> port here. `extra`: its own command and environment."""

    service: str
    number: int
    name: str
    ports: dict[int, int] = field(default_factory=dict)
    identity: Identity | None = None
    paused: bool = False
    command: list[str] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return self.identity is not None and self.identity.process() is not None


class Store:
    """The copies of one project, by name. `changing` is the only way to write."""

    def __init__(self, run: Path) -> None:
        self._file = run / "processes.json"

    def read(self) -> dict[str, Copy]:
        """All copies, as the file has them now."""
        with contextlib.suppress(FileNotFoundError):
            entries = json.loads(self._file.read_text(encoding="utf-8"))
            return {entry["name"]: _copy(entry) for entry in entries}
        return {}

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, Copy]]:
        """The copies, to be changed in place and written at the end, also where the block fails.

        One at a time, whichever program asks. Keep the block short: others wait.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with (self._file.parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            copies = self.read()
            try:
                yield copies
            finally:
                temporary = self._file.with_name(f".{self._file.name}.new")
                temporary.write_text(json.dumps([asdict(copy) for copy in copies.values()], indent=1), encoding="utf-8")
                temporary.replace(self._file)


def _copy(entry: dict[str, object]) -> Copy:
    copy = Copy(**entry)  # type: ignore[arg-type] # the file is what asdict wrote
    copy.ports = {int(container): here for container, here in copy.ports.items()}
    copy.identity = Identity(**copy.identity) if copy.identity else None  # type: ignore[arg-type]
    return copy
