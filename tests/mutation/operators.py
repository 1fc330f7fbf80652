"""What can go wrong in a rule by one slip: every single change that some promtool test has to notice."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.mutation.durations import multiplied
from tests.mutation.promql import Node, render

# Each operator beside what it is taken for.
COMPARISONS = {">": (">=", "<"), ">=": (">", "<"), "<": ("<=", ">"), "<=": ("<", ">"), "==": ("!=",), "!=": ("==",)}
ARITHMETIC = {"/": "*", "*": "/", "+": "-", "-": "+"}
AGGREGATIONS = {"sum": "max", "max": "min", "min": "max", "avg": "max", "count": "sum"}
FUNCTIONS = {
    "max_over_time": "min_over_time",
    "min_over_time": "max_over_time",
    "increase": "rate",
    "rate": "increase",
    "clamp_min": "clamp_max",
    "clamp_max": "clamp_min",
}
SEVERITIES = {"critical": "warning", "warning": "critical", "info": "warning", "none": "critical"}
WINDOW_FACTOR = 4
FOR_FACTOR = 4


def changes_of_expression(tree: Node) -> Iterator[tuple[str, str]]:
    """(what was changed, the expression after it) for every single change to a parsed expression."""
    for path in list(_paths(tree)):
        for words, replacement in _changes_of_node(_at(tree, path)):
            yield words, render(_replaced(tree, path, replacement))


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict):
        if "type" in node and "func" not in path[-1:]:
            yield path
        for key in ("lhs", "rhs", "expr", "param", "args"):
            if node.get(key):
                yield from _paths(node[key], (*path, key))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _paths(item, (*path, index))


def _at(tree: Node, path: tuple[Any, ...]) -> Node:
    node: Any = tree
    for step in path:
        node = node[step]
    found: Node = node
    return found


def _replaced(tree: Node, path: tuple[Any, ...], replacement: Node) -> Node:
    if not path:
        return replacement
    changed = copy.deepcopy(tree)
    _at(changed, path[:-1])[path[-1]] = replacement
    return changed


def _with(node: Node, **fields: Any) -> Node:
    return {**copy.deepcopy(node), **fields}


def _changes_of_node(node: Node) -> Iterator[tuple[str, Node]]:
    kind = node["type"]
    if kind == "binaryExpr":
        yield from _changes_of_binary(node)
    elif kind == "numberLiteral":
        value = Decimal(node["val"])
        if value == 0:
            yield "0 became 1", _with(node, val="1")
        elif value.is_finite():
            for factor in (Decimal(10), Decimal("0.1")):
                yield f"{value} became {value * factor:f}", _with(node, val=f"{value * factor:f}")
    elif kind == "aggregation":
        for label in node["grouping"]:
            rest = [other for other in node["grouping"] if other != label]
            yield f"label {label} dropped from {node['op']}'s grouping", _with(node, grouping=rest)
        if node["op"] in AGGREGATIONS:
            other = AGGREGATIONS[node["op"]]
            yield f"{node['op']} became {other}", _with(node, op=other)
    elif kind == "call" and node["func"]["name"] in FUNCTIONS:
        other = FUNCTIONS[node["func"]["name"]]
        yield f"{node['func']['name']} became {other}", _with(node, func={**node["func"], "name": other})
    yield from _changes_of_selection(node)


def _changes_of_binary(node: Node) -> Iterator[tuple[str, Node]]:
    operator, match = node["op"], node["matching"]
    for other in COMPARISONS.get(operator, ()):
        yield f"{operator} became {other}", _with(node, op=other)
    if operator in ARITHMETIC:
        yield f"{operator} became {ARITHMETIC[operator]}", _with(node, op=ARITHMETIC[operator])
    if operator in ("and", "unless", "or"):
        yield f"clause after '{operator}' dropped: {_short(node['rhs'])}", node["lhs"]
    if operator == "or":
        yield f"clause before 'or' dropped: {_short(node['lhs'])}", node["rhs"]
    if match and match["on"]:
        for label in match["labels"]:
            rest = [other for other in match["labels"] if other != label]
            yield f"label {label} dropped from on()", _with(node, matching={**match, "labels": rest})
    for label in (match or {}).get("include", ()):
        rest = [other for other in match["include"] if other != label]
        yield f"label {label} dropped from group_left()", _with(node, matching={**match, "include": rest})


def _changes_of_selection(node: Node) -> Iterator[tuple[str, Node]]:
    for matcher in node.get("matchers", ()):
        if matcher["name"] != "__name__":
            rest = [other for other in node["matchers"] if other is not matcher]
            words = f"{matcher['name']}{matcher['type']}{matcher['value']!r}"
            yield f"matcher {words} dropped from {node['name']}", _with(node, matchers=rest)
    if "range" in node:
        longer, shorter = node["range"] * WINDOW_FACTOR, node["range"] // WINDOW_FACTOR
        yield f"window {node['range'] // 1000}s became {longer // 1000}s", _with(node, range=longer)
        yield f"window {node['range'] // 1000}s became {shorter // 1000}s", _with(node, range=shorter)
    if node.get("offset"):
        yield "offset dropped", _with(node, offset=0)


def _short(node: Node) -> str:
    text = render(node)
    return text if len(text) <= 60 else text[:57] + "..."


def changes_of_fields(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(what was changed, the rule after it) for every single change outside the expression."""
    if "for" in rule:
        yield "'for' dropped", {key: value for key, value in rule.items() if key != "for"}
        yield f"'for' times {FOR_FACTOR}", {**rule, "for": multiplied(rule["for"], FOR_FACTOR)}
    if "keep_firing_for" in rule:
        yield "'keep_firing_for' dropped", {k: v for k, v in rule.items() if k != "keep_firing_for"}
    for name, value in rule.get("labels", {}).items():
        rest = {key: text for key, text in rule["labels"].items() if key != name}
        if name == "severity":
            yield f"severity {value} became {SEVERITIES[value]}", {**rule, "labels": {**rest, name: SEVERITIES[value]}}
        yield f"label {name} dropped", {**rule, "labels": rest}
    for name in rule.get("annotations", {}):
        yield f"annotation {name} emptied", {**rule, "annotations": {**rule["annotations"], name: ""}}
