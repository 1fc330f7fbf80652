"""Changes each rule in every single way and asks the promtool tests to notice: `make mutate`.

Prints the survivors and the score. Exit status 1 when a survivor is not accounted for in survivors.yml, or the
score is under the goal; 2 for a setting that cannot be used.
"""

from __future__ import annotations

import argparse
import queue
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import yaml

from tests.mutation.judge import Cases, Judge
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.promql import parser

PROMETHEUS = Path(__file__).parents[2] / "prometheus"
SURVIVORS = Path(__file__).with_name("survivors.yml")
GOAL = 0.98
PROGRESS_EVERY_SECONDS = 15


def main() -> int:
    """The command's exit status."""
    options = _options()
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    chosen = [path for path in files if not options.files or path.name in options.files]
    unknown = set(options.files) - {path.name for path in files}
    if unknown:
        there = ", ".join(path.name for path in files)
        print(f"--file {min(unknown)}: no such file in prometheus/rules; there are {there}")
        return 2
    with parser() as ours:
        mutants = [m for path in chosen for m in mutants_of(path, ours) if options.rule in ("", m.rule)]
        cases = Cases(PROMETHEUS, ours)
    found = len(mutants)
    if options.sample and options.sample < found:
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    sampled = f", a sample of {len(mutants)} (seed {options.seed})" if len(mutants) < found else ""
    print(f"{found} mutants of {len(chosen)} rule files{sampled}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        judges = [Judge(cases, Path(folder, str(number))) for number in range(options.jobs)]
        failing = [] if options.trust else judges[0].unmutated_failures()
        if failing:
            print(f"these tests fail on the rules as they are: {', '.join(failing)}; run `make test-rules` first")
            return 1
        survivors = _survivors(mutants, judges)
    return _report(mutants, survivors)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    options.add_argument("--sample", type=int, default=0, help="judge only so many, chosen at random (0: all)")
    options.add_argument("--seed", type=int, default=1, help="of the sample")
    options.add_argument("--trust", action="store_true", help="the rules as they are have just passed their tests")
    options.add_argument("--jobs", type=int, default=2, help="how many are judged side by side")
    options.add_argument("--file", action="append", default=[], dest="files", help="only this rule file (repeatable)")
    options.add_argument("--rule", default="", help="only the rule of this name")
    return options.parse_args()


def _survivors(mutants: list[Mutant], judges: list[Judge]) -> list[Mutant]:
    free: queue.SimpleQueue[Judge] = queue.SimpleQueue()
    for judge in judges:
        free.put(judge)

    def survives(mutant: Mutant) -> bool:
        judge = free.get()
        try:
            return judge.noticed_by(mutant) is None
        finally:
            free.put(judge)

    survivors, said = [], time.monotonic()
    with ThreadPoolExecutor(len(judges)) as pool:
        running = {pool.submit(survives, mutant): mutant for mutant in mutants}
        for done, future in enumerate(as_completed(running), 1):
            if future.result():
                survivors.append(running[future])
            if time.monotonic() - said > PROGRESS_EVERY_SECONDS:
                said = time.monotonic()
                print(f"  {done} of {len(mutants)} judged, {len(survivors)} survived", file=sys.stderr, flush=True)
    return sorted(survivors, key=lambda mutant: mutant.key)


def _report(mutants: list[Mutant], survivors: list[Mutant]) -> int:
    accepted = yaml.safe_load(SURVIVORS.read_text())
    reasons = {(row["file"], row["rule"], row["change"]): row["reason"] for row in accepted}
    unaccounted = 0
    for mutant in survivors:
        reason = reasons.get(mutant.key)
        unaccounted += reason is None
        print(f"survived: {mutant.file}: {mutant.rule}: {mutant.change}" + (f"\n    {reason}" if reason else ""))
    score = 1 - len(survivors) / len(mutants) if mutants else 1.0
    noticed = len(mutants) - len(survivors)
    print(f"mutation score {score:.1%}: {noticed} of {len(mutants)} noticed, {unaccounted} survivors without a reason")
    return 0 if unaccounted == 0 and score >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
