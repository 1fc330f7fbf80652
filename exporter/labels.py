"""Label text as the exposition formats want it, and never longer than a label should be."""

from __future__ import annotations

from collections.abc import Mapping

MAX_LENGTH = 200
"""Longer values are cut: a name of that length is a mistake or an attack."""

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": " ", "\0": " "})


def clean(value: str) -> str:
    """Return ``value`` cut to :data:`MAX_LENGTH` and without what UTF-8 cannot carry."""
    return value[:MAX_LENGTH].encode("utf-8", "replace").decode("utf-8")


def pairs(values: Mapping[str, str]) -> str:
    """Return ``name="value"`` pairs with commas between them, escaped and without braces."""
    return ",".join(f'{name}="{clean(value).translate(_ESCAPES)}"' for name, value in values.items())


def joined(first: str, *more: str) -> str:
    """Join texts made by :func:`pairs`, leaving out the empty ones."""
    return ",".join(text for text in (first, *more) if text)
