"""The order in which scenarios run: side by side where they do not disturb each other, else one after another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.paths import EVIDENCE
from harness.probe import Probe
from harness.producer import Producer
from harness.stack import Stack
from harness.wait import giving_up
from tests.integration import trial
from tests.integration.scenario import Scenario
from tests.integration.scenarios import SCENARIOS
from tests.integration.trial import Outcome

# Every scenario has a worker of its own. As a process that is cheap; a container also runs its health check every few
# seconds, and more than these at once leave a small machine no time for scrapes a second apart.
AT_ONCE = {"native": 24}
FEW = 6


class Phases:
    """Outcomes by scenario name, each scenario tried once in a session."""

    KEY = pytest.StashKey["Phases"]()

    def __init__(self, stack: Stack, probe: Probe, producer: Producer) -> None:
        self._stack, self._probe, self._producer = stack, probe, producer
        self._lock = threading.Lock()
        self.kind = stack.kind
        self.factor = stack.factor
        self.outcomes: dict[str, Outcome] = {}

    def side_by_side(self, chosen: list[Scenario]) -> None:
        """Try these at the same time, unless they were tried already."""
        with self._lock:
            chains = chained([scenario for scenario in chosen if scenario.name not in self.outcomes])
            if not chains:
                return
            pool = ThreadPoolExecutor(max_workers=min(len(chains), AT_ONCE.get(self.kind, FEW)))
            try:
                for outcomes in pool.map(lambda chain: [self._run(scenario) for scenario in chain], chains):
                    self.outcomes |= {outcome.scenario.name: outcome for outcome in outcomes}
            except BaseException:  # Ctrl-C, or a test's time that is over
                with giving_up():
                    pool.shutdown(cancel_futures=True)
                raise
            pool.shutdown()
            for scenario in chosen:
                self._judge_alone(scenario)

    def _judge_alone(self, scenario: Scenario) -> None:
        """Try a scenario that failed in company once more by itself, and keep what it failed of for the table.

        Side by side on a small machine a scenario can be starved by its neighbours, which says nothing of its alert.
        One that fails alone has failed.
        """
        error = self.outcomes[scenario.name].error
        if isinstance(error, Exception):
            again = self._run(scenario)
            again.disturbed = (str(error).splitlines() or [repr(error)])[0]
            self.outcomes[scenario.name] = again

    def alone(self, scenario: Scenario) -> None:
        """Try this one while no other is tried."""
        with self._lock:
            if scenario.name not in self.outcomes:
                self.outcomes[scenario.name] = self._run(scenario)

    def _run(self, scenario: Scenario) -> Outcome:
        return trial.run(self._stack, self._probe, self._producer, scenario)

    def table(self) -> str:
        """Seconds from the fault to firing and to delivery, from healing to the end's delivery, and production's."""
        rows = [("scenario", "alert", "severity", "firing", "delivered", "resolved", "in production")]
        for scenario in SCENARIOS:
            outcome = self.outcomes.get(scenario.name)
            if outcome:
                seconds = [_seconds(value) for value in (outcome.fired, outcome.delivered, outcome.resolved)]
                production = f"pages after {scenario.production_minutes:g} min"
                rows.append((scenario.name, scenario.alert, scenario.severity, *seconds, production))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        twice = [
            f"{name}: the row is of a second try, alone; side by side: {outcome.disturbed}"
            for name, outcome in self.outcomes.items()
            if outcome.disturbed
        ]
        return "\n".join([f"clock: durations divided by {self.factor}", *lines, *twice])

    def keep(self) -> Path:
        """Write the table to a file and return its path."""
        EVIDENCE.mkdir(parents=True, exist_ok=True)
        path = EVIDENCE / f"timings-{self.kind}.txt"
        path.write_text(self.table() + "\n", encoding="utf-8")
        return path


def chained(scenarios: list[Scenario]) -> list[list[Scenario]]:
    """The scenarios in chains: those of a chain one after another, the chains side by side."""
    chains: dict[str, list[Scenario]] = {}
    for scenario in scenarios:  # the table has each after the one that it follows
        chain = chains.get(scenario.after, [])
        chain.append(scenario)
        chains[scenario.name] = chain
    return list({id(chain): chain for chain in chains.values()}.values())


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
