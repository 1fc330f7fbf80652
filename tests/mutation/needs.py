"""Which rules a promtool case needs: what it asserts, and what that is computed from.

A rule outside of them cannot change the case's outcome, so a mutant is judged by the cases that need its rule,
each over the rules that it needs and no others. That is the same verdict at a fraction of the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tests.mutation.promql import Node, Parser

Document = dict[str, Any]
ALERT_SERIES = ("ALERTS", "ALERTS_FOR_STATE")


class Needs:
    """What each rule of some rule files reads, by the names of rules."""

    def __init__(self, documents: Iterable[Document], parser: Parser) -> None:
        self._parser = parser
        self._reads: dict[str, set[str]] = {}
        self._alerts: set[str] = set()
        rules = [rule for document in documents for group in document["groups"] for rule in group["rules"]]
        self._alerts = {rule["alert"] for rule in rules if "alert" in rule}
        for rule in rules:
            read = self._reads.setdefault(name_of(rule), set())
            read |= self.read_by(str(rule["expr"]))
            for text in rule.get("annotations", {}).values():
                read |= {name for name in self._known(rules) if name in text and ":" in name}

    @staticmethod
    def _known(rules: list[dict[str, Any]]) -> set[str]:
        return {name_of(rule) for rule in rules}

    def read_by(self, expression: str) -> set[str]:
        """The series that an expression reads. Whoever reads ALERTS reads every alert."""
        names = {selector["name"] for selector in _selectors(self._parser.parse(expression))}
        return names | self._alerts if names & set(ALERT_SERIES) else names

    def of_case(self, case: Document) -> set[str]:
        """The names of the rules that a promtool case needs."""
        wanted = {test["alertname"] for test in case.get("alert_rule_test", ())}
        for test in case.get("promql_expr_test", ()):
            wanted |= self.read_by(str(test["expr"]))
        needed: set[str] = set()
        while wanted:
            name = wanted.pop()
            if name in self._reads and name not in needed:
                needed.add(name)
                wanted |= self._reads[name]
        return needed


def name_of(rule: Document) -> str:
    """The rule's name: the alert's, or the series that it records."""
    name: str = rule.get("alert") or rule["record"]
    return name


def only(document: Document, names: set[str]) -> Document:
    """A rule file's document with nothing but the rules of these names; groups that are left empty go."""
    groups = [
        {**group, "rules": kept}
        for group in document["groups"]
        if (kept := [rule for rule in group["rules"] if name_of(rule) in names])
    ]
    return {"groups": groups}


def _selectors(node: Any) -> Iterator[Node]:
    if isinstance(node, dict):
        if node.get("type") in ("vectorSelector", "matrixSelector"):
            yield node
        for value in node.values():
            yield from _selectors(value)
    elif isinstance(node, list):
        for item in node:
            yield from _selectors(item)
