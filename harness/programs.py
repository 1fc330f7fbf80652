"""Which program of this machine runs what a container's command names."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import binaries
from harness.errors import HarnessError

_SCRIPTS = Path(sys.executable).parent


def resolve(command: Sequence[str]) -> list[str]:
    """The command with its program found: in the project's virtual environment, on PATH, or unpacked.

    Raises HarnessError, one line, where there is no such program.
    """
    program, *arguments = command
    if program in ("python", "python3"):
        return [sys.executable, *arguments]
    if program in binaries.PROGRAMS:
        return binaries.find(program).command(*arguments)
    if (script := _SCRIPTS / program).is_file():
        # By the interpreter, not by its first line: that one breaks where the checkout's path is long or has spaces.
        return [sys.executable, str(script), *arguments]
    if found := shutil.which(program):
        return [found, *arguments]
    raise HarnessError(f"{program} is not on PATH: install it, or leave out the service that needs it")


def environment(program: str) -> dict[str, str]:
    """What this program's environment needs besides its service's own."""
    return binaries.find(program).env if program in binaries.PROGRAMS else {}


def write_shims(line: str, folder: Path) -> None:
    """Make the programs that a shell line names callable by their names: small scripts in `folder`."""
    for name in binaries.PROGRAMS:
        shim = folder / name
        if re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w.-])", line) and not shim.exists():
            folder.mkdir(parents=True, exist_ok=True)
            shim.write_text(f'#!/bin/sh\nexec {shlex.join(resolve([name]))} "$@"\n', encoding="utf-8")
            shim.chmod(0o755)
