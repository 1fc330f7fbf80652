"""Compose's interpolation: `$V`, `${V}`, `${V:-default}`, `${V:?message}`, `${V:+other}` and `$$`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.errors import BadInputError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """A copy of a YAML value with the variables in its strings filled in; keys stay as they are.

    Raises BadInputError for a variable that must be set and is not, and for a broken expression.
    """
    if isinstance(value, str):
        return text(value, variables)
    if isinstance(value, list):
        return [interpolate(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: interpolate(item, variables) for key, item in value.items()}
    return value


def text(template: str, variables: Mapping[str, str]) -> str:
    """One string with its variables filled in."""
    parts: list[str] = []
    at = 0
    while (dollar := template.find("$", at)) >= 0:
        parts.append(template[at:dollar])
        after = template[dollar + 1 : dollar + 2]
        if after == "$":
            parts.append("$")
            at = dollar + 2
        elif after == "{":
            end = _closing(template, dollar + 2)
            parts.append(_braced(template[dollar + 2 : end], variables))
            at = end + 1
        elif name := _NAME.match(template, dollar + 1):
            parts.append(variables.get(name.group(), ""))
            at = name.end()
        else:
            raise BadInputError(f"{template!r} has a lone $; write $$ for a dollar sign")
    return "".join([*parts, template[at:]])


def _closing(template: str, start: int) -> int:
    """Where the brace that is open at `start` closes; a default may hold expressions of its own."""
    depth = 1
    for at in range(start, len(template)):
        if template[at] == "{" and template[at - 1] == "$":
            depth += 1
        elif template[at] == "}":
            depth -= 1
            if not depth:
                return at
    raise BadInputError(f"{template!r} has a ${{ that is not closed")


def _braced(inner: str, variables: Mapping[str, str]) -> str:
    name = _NAME.match(inner)
    if name is None:
        raise BadInputError(f"${{{inner}}} names no variable")
    value = variables.get(name.group())
    rest = inner[name.end() :]
    if not rest:
        return value or ""
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise BadInputError(f"${{{inner}}} is not an expression of Compose")
    other = rest[operator.end() :]
    there = bool(value) if operator.group().startswith(":") else value is not None
    match operator.group()[-1]:
        case "-":
            return value or "" if there else text(other, variables)
        case "+":
            return text(other, variables) if there else ""
        case _ if there:
            return value or ""
    raise BadInputError(f"{name.group()} is not set: {text(other, variables) or 'it has no default'}")
