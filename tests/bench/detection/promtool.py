"""Runs rules over simulated series with promtool, and reads when each alert began to fire."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.binaries import find
from tests.bench.detection.series import Series

SCRAPE_SECONDS = 15
SECONDS_FOR_ONE_RUN = 900
# promtool's queries may hold 10,000 samples, so a long run is asked in pieces.
PIECE_SECONDS = 1800


@dataclass(frozen=True)
class Fired:
    """An alert that fired during a run: its labels, and the seconds into the run at which it first did."""

    labels: dict[str, str]
    at: float

    @property
    def name(self) -> str:
        return self.labels["alertname"]

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "none")


def alerts(series: Series, rules: list[Path]) -> list[Fired]:
    """Every alert of `rules` that fires over `series`, earliest first.

    promtool only compares, so it is asked to expect nothing and its answer is read from what it says it got.
    Raises RuntimeError when it says anything else.
    """
    length = (series.scrapes - 1) * SCRAPE_SECONDS
    firing = 'ALERTS{alertstate="firing"}'
    document = {
        "rule_files": [str(path) for path in rules],
        "evaluation_interval": f"{SCRAPE_SECONDS}s",
        "tests": [
            {
                "interval": f"{SCRAPE_SECONDS}s",
                "input_series": series.input_series(),
                "promql_expr_test": [
                    {
                        "expr": f"min_over_time(timestamp({firing})[{PIECE_SECONDS}s:{SCRAPE_SECONDS}s])",
                        "eval_time": f"{end}s",
                        "exp_samples": [{"labels": "never", "value": 0}],
                    }
                    for end in [*range(PIECE_SECONDS, length, PIECE_SECONDS), length]
                ],
            }
        ],
    }
    promtool = find("promtool")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "test.yml")
        path.write_text(yaml.safe_dump(document, width=1_000_000))
        run = subprocess.run(
            promtool.command("test", "rules", str(path)),
            env=promtool.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_FOR_ONE_RUN,
            check=False,
        )
    return _read(run.stdout + run.stderr)


def _read(said: str) -> list[Fired]:
    answers = re.findall(r"^\s*got: *(.*)$", said, re.MULTILINE)
    if not answers or " err: " in said:
        raise RuntimeError(f"promtool did not answer as expected: {said[-2000:]}")
    first: dict[frozenset[tuple[str, str]], float] = {}
    for labels, value in re.findall(r'(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}) ([-+.0-9E]+)', "\n".join(answers)):
        pairs = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
        first[pairs] = min(float(value), first.get(pairs, float("inf")))
    fired = [Fired({k: v for k, v in pairs if k not in ("__name__", "alertstate")}, at) for pairs, at in first.items()]
    return sorted(fired, key=lambda one: one.at)
