"""Whether some promtool test notices a mutant."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import yaml

from harness.binaries import find
from tests.mutation.mutants import Mutant

SECONDS_FOR_ONE_FILE = 300


class Judge:
    """Runs the promtool tests over a copy of prometheus/ in `folder`, in which one rule file is a mutant's.

    Two judges never share a folder.
    """

    def __init__(self, source: Path, folder: Path) -> None:
        self._promtool = find("promtool")
        self._rules = folder / "rules"
        self._tests = folder / "tests"
        shutil.copytree(source / "rules", self._rules)
        shutil.copytree(source / "tests", self._tests)
        self._loads = {path: _rule_files(path) for path in sorted(self._tests.glob("*.yml"))}

    def noticed_by(self, mutant: Mutant) -> str | None:
        """The test file that fails on the mutant (or promtool's own check), None when it survives them all."""
        target = self._rules / mutant.file
        original = target.read_text()
        target.write_text(mutant.text)
        try:
            if not self._passes("check", "rules", str(target)):
                return "promtool check rules"
            return next((path.name for path in self._in_order(mutant) if not self._passes_tests(path)), None)
        finally:
            target.write_text(original)

    def unmutated_failures(self) -> list[str]:
        """The test files that fail on the rules as they are; with any, no mutant can be judged."""
        return [path.name for path in self._loads if not self._passes_tests(path)]

    def _in_order(self, mutant: Mutant) -> list[Path]:
        """The test files that load the mutant's file, those that speak of its rule first."""
        loading = [path for path, files in self._loads.items() if mutant.file in files]
        return sorted(loading, key=lambda path: -path.read_text().count(mutant.rule))

    def _passes_tests(self, path: Path) -> bool:
        return self._passes("test", "rules", str(path))

    def _passes(self, *arguments: str) -> bool:
        run = subprocess.run(
            self._promtool.command(*arguments),
            env=self._promtool.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS_FOR_ONE_FILE,
            check=False,
        )
        return run.returncode == 0


def _rule_files(test: Path) -> set[str]:
    """The names of the rule files that a promtool test loads (its patterns are relative to it)."""
    patterns = yaml.safe_load(test.read_text())["rule_files"]
    return {path.name for pattern in patterns for path in test.parent.glob(pattern)}
