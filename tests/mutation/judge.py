"""Whether some promtool test notices a mutant."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.binaries import find
from tests.mutation.mutants import Mutant
from tests.mutation.needs import Needs, only
from tests.mutation.promql import Parser

SECONDS_FOR_ONE_RUN = 300
Document = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One case of one promtool file: its document with this case alone, and the rules that it needs."""

    file: str
    document: Document
    rule_files: tuple[str, ...]
    needs: frozenset[str]
    asserts: frozenset[str]


class Cases:
    """Every promtool case of `source`/tests, and the rule files that they load. Read once, shared by all judges."""

    def __init__(self, source: Path, parser: Parser) -> None:
        self.rules: dict[str, Document] = {
            path.name: yaml.safe_load(path.read_text()) for path in sorted((source / "rules").glob("*.yml"))
        }
        self.all: list[Case] = []
        for path in sorted((source / "tests").glob("*.yml")):
            document = yaml.safe_load(path.read_text())
            files = tuple(
                found.name for pattern in document["rule_files"] for found in sorted(path.parent.glob(pattern))
            )
            needs = Needs([self.rules[name] for name in files], parser)
            for case in document["tests"]:
                asserts = {test["alertname"] for test in case.get("alert_rule_test", ())}
                for test in case.get("promql_expr_test", ()):
                    asserts |= needs.read_by(str(test["expr"]))
                alone = {**document, "tests": [case]}
                self.all.append(Case(path.name, alone, files, frozenset(needs.of_case(case)), frozenset(asserts)))

    def needing(self, mutant: Mutant) -> list[Case]:
        """The cases that can notice the mutant, those that assert its rule itself first, short ones before long."""
        able = [case for case in self.all if mutant.file in case.rule_files and mutant.rule in case.needs]
        return sorted(able, key=lambda case: (mutant.rule not in case.asserts, len(case.needs)))


class Judge:
    """Runs cases with promtool in `folder`. Two judges never share a folder."""

    def __init__(self, cases: Cases, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._cases, self._folder, self._promtool = cases, folder, find("promtool")

    def noticed_by(self, mutant: Mutant) -> str | None:
        """The test file whose case fails on the mutant (or promtool's own check), None when it survives them all."""
        whole = self._folder / mutant.file
        whole.write_text(mutant.text)
        if not self._passes("check", "rules", str(whole)):
            return "promtool check rules"
        changed = {mutant.file: yaml.safe_load(mutant.text)}
        return next((case.file for case in self._cases.needing(mutant) if not self._passes_case(case, changed)), None)

    def unmutated_failures(self) -> list[str]:
        """The test files that fail on the rules as they are; with any, no mutant can be judged."""
        return sorted({case.file for case in self._cases.all if not self._passes_case(case, {})})

    def _passes_case(self, case: Case, changed: dict[str, Document]) -> bool:
        files, groups = [], set()
        for name in case.rule_files:
            document = only(changed.get(name, self._cases.rules[name]), set(case.needs))
            if document["groups"]:
                path = self._folder / f"rules-{name}"
                path.write_text(yaml.safe_dump(document, sort_keys=False, width=1000))
                files.append(str(path))
                groups |= {group["name"] for group in document["groups"]}
        test = {**case.document, "rule_files": files}
        if "group_eval_order" in test:
            test["group_eval_order"] = [name for name in test["group_eval_order"] if name in groups]
        path = self._folder / "case.yml"
        path.write_text(yaml.safe_dump(test, sort_keys=False, width=1_000_000))
        return self._passes("test", "rules", str(path))

    def _passes(self, *arguments: str) -> bool:
        run = subprocess.run(
            self._promtool.command(*arguments),
            env={**os.environ, **self._promtool.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS_FOR_ONE_RUN,
            check=False,
        )
        return run.returncode == 0
