"""The page of metrics names every recorded series, and none that is not recorded."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()


def _recorded() -> set[str]:
    return {
        rule["record"]
        for path in (ROOT / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }


def _named() -> set[str]:
    """The names in code marks, with `{a,b}` in the middle of a name written out and its labels cut off."""
    names: set[str] = set()
    for text in re.findall(r"`([^`]+)`", PAGE):
        bare = re.sub(r"\{[^}]*\}$", "", text) if not text.endswith("}_total") else text
        parts = re.split(r"\{([^}]*)\}", bare)
        choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
        names |= {"".join(chosen) for chosen in product(*choices)}
    # `celery_x_{sum,count}{label}` ends in labels, `celery_x_{sum,count}` in a choice of names.
    for text in re.findall(r"`(\w+)\{([^}]*)\}\{[^}]*\}`", PAGE):
        names |= {text[0] + ending for ending in text[1].split(",")}
    return names


def test_every_recorded_series_is_on_the_page() -> None:
    missing = {name for name in _recorded() - _named() if not name.startswith("limit:")}
    assert not missing


def test_every_series_that_the_page_calls_recorded_is_recorded() -> None:
    invented = {name for name in _named() if re.fullmatch(r"(queue|task|fleet|worker|exporter|job):\S+", name)}
    assert invented
    assert invented <= _recorded()
