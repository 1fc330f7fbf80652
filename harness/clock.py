"""The test clock: the shipped configuration with every duration divided by one factor.

Production durations are the truth, and nobody can wait for them in a test. `render` copies a folder of
Prometheus' or Alertmanager's configuration and divides range selectors, subqueries, offsets, `for`,
`keep_firing_for`, the intervals of groups, of scrapes and of evaluation, and Alertmanager's waits. It edits
the text in place, so that expressions, thresholds, labels, comments and every other character stay as they are.

What stays: objectives (they are numbers, and what users may expect does not shrink with the clock), the texts of
annotations around the queries in them, mute windows (they are times of day), and network timeouts, for a machine
does not get faster. The one timeout that has to follow is `scrape_timeout`, which must not exceed its interval.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import yaml

from harness.durations import DurationError, divided, milliseconds
from harness.promql import rescale

# Keys whose value is a duration to divide, by the kind of the file.
_PROMETHEUS = frozenset({"scrape_interval", "evaluation_interval", "rule_query_offset", "refresh_interval"})
_RULES = frozenset({"for", "keep_firing_for", "interval", "query_offset"})
_ALERTMANAGER = frozenset({"group_wait", "group_interval", "repeat_interval", "resolve_timeout"})
# A question in a template: query "sum(queue:length offset 10m)".
_QUERY = re.compile(r'(?P<before>\bquery\s+")(?P<query>(?:\\.|[^"\\])*)"')

Change: TypeAlias = Callable[[str], str]


class ClockError(ValueError):
    """A file cannot be put on another clock; the message names the file and the line."""


@dataclass(frozen=True)
class _Edit:
    """The text from `start` to `end` of a file becomes `text`."""

    start: int
    end: int
    text: str


def render(source: Path, target: Path, factor: int) -> None:
    """Copy the folder `source` to `target` with every duration divided by `factor`.

    Files that are not Prometheus' or Alertmanager's own (templates, notes) are copied as they are;
    promtool's unit tests, a folder `tests`, are left out: they check the files as written. `target` is made anew.
    Raises ClockError where a file is not valid or a duration cannot be divided.
    """
    if factor < 1:
        raise ClockError(f"the clock's factor is {factor}; give a whole number from 1 on")
    if not source.is_dir():
        raise ClockError(f"no folder {source} to put on the clock")
    shutil.rmtree(target, ignore_errors=True)
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_dir() or relative.parts[0] == "tests":
            continue
        copy = target / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in {".yml", ".yaml"}:
            copy.write_text(rendered(path.read_text(encoding="utf-8"), factor, str(path)), encoding="utf-8")
        else:
            shutil.copyfile(path, copy)
    # Prometheus runs as a user of its own in a container and reads these through a mount.
    for path in [target, *target.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def rendered(text: str, factor: int, name: str = "configuration") -> str:
    """One file's text on the clock; `name` is what an error calls it."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ClockError(f"{name} is not YAML: {' '.join(str(error).split())}") from error
    edits: dict[int, _Edit] = {}
    try:
        for edit in _edits(root, text, factor):
            edits[edit.start] = edit  # an anchored value is one text, however often it is used
    except DurationError as error:
        raise ClockError(f"{name}: {error}") from error
    for edit in sorted(edits.values(), key=lambda e: e.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _edits(root: yaml.Node | None, text: str, factor: int) -> Iterator[_Edit]:
    if not isinstance(root, yaml.MappingNode):
        return
    keys = {key.value for key, _ in root.value}
    if "groups" in keys:
        yield from _in_rules(root, text, factor)
    elif "route" in keys or "receivers" in keys:
        for key, value in _pairs(root):
            if key in {"global", "route"}:
                yield from _in_keys(value, text, factor, _ALERTMANAGER)
    else:
        yield from _in_keys(root, text, factor, _PROMETHEUS)


def _in_rules(root: yaml.MappingNode, text: str, factor: int) -> Iterator[_Edit]:
    """The groups, and the rules in them; labels and annotations below are not looked into."""
    for key, groups in _pairs(root):
        for group in groups.value if key == "groups" else []:
            for name, value in _pairs(group):
                if name in _RULES:
                    yield _scalar(value, text, lambda old: divided(old, factor))
                for rule in value.value if name == "rules" else []:
                    for field, part in _pairs(rule):
                        if field in _RULES:
                            yield _scalar(part, text, lambda old: divided(old, factor))
                        elif field == "expr":
                            yield _scalar(part, text, lambda old: rescale(old, lambda d: divided(d, factor)))
                        elif field == "annotations":
                            yield from _in_texts(part, text, factor)


def _in_texts(annotations: yaml.Node, text: str, factor: int) -> Iterator[_Edit]:
    """Queries that an annotation's template asks are expressions like any; the words around them stay."""

    def change(old: str) -> str:
        return _QUERY.sub(lambda m: m["before"] + _quoted(rescale(_unquoted(m["query"]), step)) + '"', old)

    def step(duration: str) -> str:
        return divided(duration, factor)

    for _, value in _pairs(annotations):
        if isinstance(value, yaml.ScalarNode) and change(value.value) != value.value:
            yield _scalar(value, text, change)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _in_keys(node: yaml.Node, text: str, factor: int, keys: frozenset[str]) -> Iterator[_Edit]:
    """Every mapping below `node`, at any depth."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _in_keys(item, text, factor, keys)
    for key, value in _pairs(node):
        if key in keys:
            yield _scalar(value, text, lambda old: divided(old, factor))
        elif key == "scrape_timeout" and "scrape_interval" in keys:
            yield _scalar(value, text, _at_most(divided(_interval_beside(node), factor)))
        else:
            yield from _in_keys(value, text, factor, keys)


def _at_most(longest: str) -> Change:
    return lambda old: min(old, longest, key=milliseconds)


def _interval_beside(node: yaml.Node) -> str:
    """The scrape interval that stands beside a timeout: both are written in one place, or neither is."""
    for key, value in _pairs(node):
        if key == "scrape_interval":
            return str(value.value)
    raise DurationError("a scrape_timeout without a scrape_interval beside it; write both, so that both can be divided")


def _pairs(node: yaml.Node) -> list[tuple[str, yaml.Node]]:
    return [(key.value, value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []


def _scalar(node: yaml.Node, text: str, change: Change) -> _Edit:
    """What becomes of one value, in the style in which it is written."""
    if not isinstance(node, yaml.ScalarNode):
        raise DurationError(f"line {node.start_mark.line + 1}: a value was expected here")
    start, end = node.start_mark.index, node.end_mark.index
    try:
        if node.style in {"'", '"'}:
            # What is escaped inside quotes differs from what is meant; JSON's quotes are YAML's too.
            return _Edit(start, end, json.dumps(change(node.value), ensure_ascii=False))
        # Plain text and blocks (`|`, `>`) stand in the file as they are meant.
        return _Edit(start, end, change(text[start:end]))
    except DurationError as error:
        raise DurationError(f"line {node.start_mark.line + 1}: {error}") from error
