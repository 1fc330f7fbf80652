"""Where things are: the checkout, and the folder in it that holds all a run makes."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("STACK_STATE") or ROOT / ".state")
RUNS = STATE / "run"
SECRETS = STATE / "secrets"
EVIDENCE = STATE / "evidence"


def run_dir(project: str) -> Path:
    """The folder of one running copy of the stack: data, logs, process ids, rendered configuration."""
    return RUNS / project
