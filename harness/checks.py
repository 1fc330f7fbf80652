"""`make test-rules`: the servers' own checkers over the configuration, and the unit tests of the rules.

A machine without the checkers gets them unpacked into the checkout.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.binaries import find
from harness.errors import HarnessError
from harness.paths import ROOT


def commands(root: Path = ROOT) -> Iterator[list[str]]:
    """The command lines, each with what it checks."""
    promtool, amtool = find("promtool"), find("amtool")
    rules = sorted((root / "prometheus/rules").glob("*.yml"))
    tests = sorted((root / "prometheus/tests").glob("*.yml"))
    yield promtool.command("check", "config", root / "prometheus/prometheus.yml")
    yield promtool.command("check", "rules", "--lint=all", "--lint-fatal", *rules)
    yield promtool.command("test", "rules", *tests)
    yield amtool.command("check-config", root / "alertmanager/alertmanager.yml")


def main() -> int:
    """Run them all, also after one that failed. Exit status 1 if any did."""
    failed = 0
    try:
        for command in commands():
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
            what = " ".join([Path(command[0]).name, *command[1:3]])
            print(f"{what}: {'failed' if done.returncode else 'passed'}", flush=True)
            if done.returncode:
                print(done.stdout.decode(errors="replace"), flush=True)
                failed += 1
    except HarnessError as error:
        print(f"checks: {error}", file=sys.stderr)
        return error.exit_status
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
