"""Switches on the receivers of Alertmanager whose secret somebody has put in place."""

from __future__ import annotations

import re
from pathlib import Path

_SWITCH = re.compile(r'^[ \t]*-[ \t]*switched_off="(?P<receiver>[\w-]+)"[ \t]*\n', re.MULTILINE)
_BLOCK = re.compile(r"^[ \t]*-[ \t]*name:[ \t]*", re.MULTILINE)
_FILES = re.compile(r"_file:[ \t]*/run/secrets/alertmanager/([\w.-]+)")


def switched_on(text: str, folder: Path) -> str:
    """alertmanager.yml without the `switched_off` matcher of each receiver whose secret files are all in `folder`."""

    def keep(match: re.Match[str]) -> str:
        needed = _needed(text, match["receiver"])
        return "" if needed and all((folder / name).is_file() for name in needed) else match.group()

    return _SWITCH.sub(keep, text)


def _needed(text: str, receiver: str) -> set[str]:
    """The secret files that a receiver's configuration names."""
    for block in _BLOCK.split(text)[1:]:
        if block.partition("\n")[0].strip() == receiver:
            return set(_FILES.findall(block))
    return set()
