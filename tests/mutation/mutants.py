"""The mutants of the rule files: each is one rule with one change."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.mutation.operators import changes_of_expression, changes_of_fields
from tests.mutation.promql import Parser


@dataclass(frozen=True)
class Mutant:
    """One change to one rule of `file` (a name in prometheus/rules), and that file's whole text after it."""

    file: str
    rule: str
    change: str
    text: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What names the mutant in the list of accepted survivors."""
        return self.file, self.rule, self.change


def mutants_of(path: Path, parser: Parser) -> Iterator[Mutant]:
    """Every mutant of the rule file at `path`, in the order of its rules."""
    document = yaml.safe_load(path.read_text())
    for g, group in enumerate(document["groups"]):
        for r, rule in enumerate(group["rules"]):
            name = rule.get("alert") or rule["record"]
            for change, after in _changes(rule, parser):
                changed = copy.deepcopy(document)
                changed["groups"][g]["rules"][r] = after
                yield Mutant(path.name, name, change, yaml.safe_dump(changed, sort_keys=False, width=1000))


def _changes(rule: dict[str, Any], parser: Parser) -> Iterator[tuple[str, dict[str, Any]]]:
    for change, expression in changes_of_expression(parser.parse(str(rule["expr"]))):
        yield change, {**rule, "expr": expression}
    yield from changes_of_fields(rule)
