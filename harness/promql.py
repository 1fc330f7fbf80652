"""Finding the durations in a PromQL expression, without taking anything else for one.

`job:exec_p99:5m` is a name, `"5m"` in quotes a label's value and `0.5` a number; only what stands in
brackets (`[5m]`, `[1h:30s]`) or after `offset` is a duration.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from harness.durations import DURATION, DurationError

_TOKEN = re.compile(
    r"""
      (?P<comment>\#[^\n]*)
    | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    | (?P<duration>"""
    + DURATION
    + r""")(?![a-zA-Z0-9_:.])
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<name>[a-zA-Z_][a-zA-Z0-9_:]*)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Inside brackets a colon parts the range from the resolution; outside it belongs to a recorded name.
_IN_BRACKETS = re.compile(r"(?P<duration>" + DURATION + r")|(?P<other>.)", re.DOTALL)


def rescale(expression: str, change: Callable[[str], str]) -> str:
    """The expression with every duration replaced by `change(duration)`; nothing else is touched.

    Raises DurationError where a duration stands for a number of seconds (`up > 5m`): whether that is an
    objective or a wait, nobody but its author can say.
    """
    out: list[str] = []
    position = 0
    after_offset = False
    while position < len(expression):
        if expression[position] == "[":
            end = expression.find("]", position)
            if end < 0:
                raise DurationError(f"a bracket is not closed in: {expression.strip()}")
            out.append(_brackets(expression[position : end + 1], change))
            position, after_offset = end + 1, False
            continue
        match = _TOKEN.match(expression, position)
        assert match is not None  # noqa: S101 - "other" matches any character
        text = match.group()
        if match.lastgroup == "duration":
            if not after_offset:
                raise DurationError(
                    f"{text} stands for a number in: {expression.strip()}; write seconds where it is an objective"
                )
            text = change(text)
        if match.lastgroup not in {"space", "comment"} and text not in {"-", "+"}:
            after_offset = match.lastgroup == "name" and text.lower() == "offset"
        out.append(text)
        position = match.end()
    return "".join(out)


def _brackets(text: str, change: Callable[[str], str]) -> str:
    return _IN_BRACKETS.sub(lambda m: change(m.group()) if m.lastgroup == "duration" else m.group(), text)


_LABELS_FOLLOW = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", *_LABELS_FOLLOW}


def names(expression: str) -> set[str]:
    """The names of the series that an expression reads: not its functions, keywords or labels."""
    plain = re.sub(r"\[[^\]]*\]", " ", expression)
    tokens = [m for m in _TOKEN.finditer(plain) if m.lastgroup not in {"space", "comment", "string"}]
    found: set[str] = set()
    skipping_to: str | None = None
    for place, token in enumerate(tokens):
        word = token.group()
        follower = tokens[place + 1].group() if place + 1 < len(tokens) else ""
        if skipping_to:
            skipping_to = None if word == skipping_to else skipping_to
        elif word == "{":
            skipping_to = "}"
        elif word.lower() in _LABELS_FOLLOW and follower == "(":
            skipping_to = ")"
        elif (
            token.lastgroup == "name"
            and follower.lower() not in {"(", "by", "without"}
            and word.lower() not in _KEYWORDS
        ):
            found.add(word)
    return found
