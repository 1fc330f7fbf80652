"""How a stack was started, kept beside what it runs, so that the next command speaks of the same stack."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

_FILE = "stack.json"


@dataclass
class Saved:
    """The arguments of the start."""

    way: str
    overrides: dict[str, str]
    profiles: list[str]
    services: list[str]
    factor: int
    rules: dict[str, str]

    def write(self, run: Path) -> None:
        run.mkdir(parents=True, exist_ok=True)
        file = run / _FILE
        file.touch(mode=0o600)
        file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @staticmethod
    def read(run: Path) -> Saved | None:
        """What was written into this run folder; None where nothing runs."""
        with contextlib.suppress(FileNotFoundError):
            return Saved(**json.loads((run / _FILE).read_text(encoding="utf-8")))
        return None

    @staticmethod
    def remove(run: Path, everything: bool) -> None:
        """Forget the stack; with `everything`, its whole run folder."""
        (run / _FILE).unlink(missing_ok=True)
        if everything:
            shutil.rmtree(run, ignore_errors=True)
