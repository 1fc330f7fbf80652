"""The outcome of a health check."""

from __future__ import annotations

from typing import NamedTuple


class Verdict(NamedTuple):
    """Whether a check passed, and a sentence about it."""

    ok: bool
    detail: str
