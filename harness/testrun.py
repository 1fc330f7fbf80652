"""`make test`: every part of the proof, one after the other, and in the end what passed and what did not.

A part that fails does not keep the others from running; the exit status is 1 if any part failed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from harness import engine
from harness.compose_v2 import compose_command
from harness.errors import HarnessError
from harness.paths import EVIDENCE, ROOT

_PYTEST = [sys.executable, "-m", "pytest"]
_INTEGRATION = [*_PYTEST, "tests/integration", "--way"]

# On containers `make test` tries one scenario of each kind, for the rules are the same and the rest was tried on
# processes; `make test-compose` tries them all.
_SHARED = ("backlog", "fail", "slow-task", "kill-worker")
_ALONE = ("exporter-down", "broker-down", "cardinality")
_ON_CONTAINERS = " or ".join(
    [
        "not (test_incident or test_outage or test_optional_parts)",
        *(f"test_incident[{name}]" for name in _SHARED),
        *(f"test_outage[{name}]" for name in _ALONE),
    ]
)


@dataclass(frozen=True)
class Part:
    """One part of the proof. `skipped` says why it cannot run on this machine; it is then named, not run."""

    name: str
    command: Sequence[str] = ()
    skipped: str = ""


@dataclass(frozen=True)
class Result:
    """How a part went; `status` is its exit status, None where it was not run."""

    part: Part
    status: int | None
    seconds: float = 0.0

    def line(self) -> str:
        """The part's line of the summary."""
        if self.status is None:
            return f"  not run  {self.part.name}: {self.part.skipped}"
        outcome = "passed" if self.status == 0 else f"FAILED with status {self.status}"
        return f"  {outcome:<8} {self.part.name} ({self.seconds:.0f} s)"


def parts() -> list[Part]:
    """What there is to run here."""
    return [
        Part("unit tests", [*_PYTEST, "-n", "2", "-q", "tests/unit"]),
        Part("one Celery line under the exporter", [*_PYTEST, "-q", "tests/fleets", "-k", "5.6"]),
        Part("alerts end to end, plain processes", [*_INTEGRATION, "native"]),
        Part("alerts end to end, containers", [*_INTEGRATION, "compose", "-k", _ON_CONTAINERS], no_containers()),
    ]


def no_containers() -> str:
    """Why there can be no containers here; empty where there can."""
    if refusal := engine.refusal():
        return refusal
    try:
        compose_command()
    except HarnessError as error:
        return str(error)
    return ""


def run(part: Part) -> Result:
    """Run one part, its output going where ours goes."""
    if part.skipped:
        return Result(part, None)
    print(f"\n== {part.name}", flush=True)
    started = time.monotonic()
    done = subprocess.run(list(part.command), cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    return Result(part, done.returncode, time.monotonic() - started)


def summary(results: Sequence[Result], tables: str) -> str:
    """The closing words: the tables of seconds, a line for each part, and the verdict."""
    failed = [result for result in results if result.status]
    verdict = f"{len(failed)} of {len(results)} parts FAILED" if failed else "everything that ran passed"
    return "\n".join([*([tables] if tables else []), "", *(result.line() for result in results), verdict])


def status(results: Sequence[Result]) -> int:
    """1 if a part failed, or if nothing at all was run."""
    ran = [result.status for result in results if result.status is not None]
    return int(not ran or any(ran))


def main() -> int:
    """Run all parts and print the summary."""
    for old in EVIDENCE.glob("timings-*.txt"):
        old.unlink()
    try:
        results = [run(part) for part in parts()]
    except KeyboardInterrupt:
        print("\ntest: interrupted", file=sys.stderr)
        return 130
    tables = [f"\nseconds from fault to page ({path.stem.removeprefix('timings-')})\n{path.read_text(encoding='utf-8')}"
              for path in sorted(EVIDENCE.glob("timings-*.txt"))]  # fmt: skip
    print(summary(results, "\n".join(tables)), flush=True)
    if any(result.status for result in results):
        print(f"what was kept of failures is in {EVIDENCE}", flush=True)
    return status(results)


if __name__ == "__main__":
    sys.exit(main())
