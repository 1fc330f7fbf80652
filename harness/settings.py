"""The settings of a stack: `.env`, then the environment, then what the caller overrides.

The order is Compose's own: a variable of the shell wins over a line of `.env`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from harness.errors import BadInputError
from harness.paths import ROOT


def load(
    root: Path = ROOT,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """All variables that compose.yaml may name, with their values."""
    values = {name: value or "" for name, value in dotenv_values(root / ".env").items()}
    values.update(os.environ if environ is None else environ)
    values.update(overrides or {})
    return values


def words(value: str) -> list[str]:
    """The words of a comma- or space-separated list, in order, none twice."""
    return list(dict.fromkeys(value.replace(",", " ").split()))


def number(settings: Mapping[str, str], name: str, default: float, minimum: float) -> float:
    """A setting as a number; raises BadInputError for one that is none, or is too small."""
    text = settings.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise BadInputError(f"{name}={text!r} is not a number; write one of at least {minimum:g}") from None
    if not minimum <= value < float("inf"):
        raise BadInputError(f"{name}={text} is out of range; write a number of at least {minimum:g}")
    return value
