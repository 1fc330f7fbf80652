"""Every query of the dashboards parses, and reads only series that somebody exposes or records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import yaml

from exporter import catalogue
from grafana.queries import PanelQuery, queries
from inbox.metrics import Metrics
from loadgen.metrics import LocustCollector

AUTOMATIC = {
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "ALERTS",
}
HISTOGRAM = ("_bucket", "_sum", "_count")


def parsed(prometheus: str, expr: str) -> dict[str, Any]:
    """The query's syntax tree. Prometheus itself is the parser."""
    answer = requests.post(f"{prometheus}/api/v1/parse_query", data={"query": expr}, timeout=30).json()
    assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
    return answer["data"]


def selected(tree: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and matchers of every series selector in a syntax tree."""
    if isinstance(tree, list):
        for part in tree:
            yield from selected(part)
    elif isinstance(tree, dict):
        if tree.get("type") in ("vectorSelector", "matrixSelector"):
            yield tree["name"], {matcher["name"]: matcher["value"] for matcher in tree["matchers"]}
        else:
            for part in tree.values():
                yield from selected(part)


def ids(query: PanelQuery) -> str:
    return f"{query.dashboard}: {query.panel}"


@pytest.fixture(scope="session")
def recorded(root: Path) -> set[str]:
    return {
        rule["record"]
        for file in (root / "prometheus" / "rules").glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }


@pytest.fixture(scope="session")
def exposed(root: Path, scraped: set[str]) -> set[str]:
    """Names that the parts expose, from the parts themselves."""
    names = AUTOMATIC | {name for name in scraped if name.startswith(("prometheus_", "alertmanager_", "process_"))}
    for metric in catalogue.PREFIXED:
        full = f"celery_{metric.name}"
        names |= {full + end for end in HISTOGRAM} if metric.kind == "histogram" else {full}
    environment = SimpleNamespace(runner=None, stats=SimpleNamespace(entries={}))
    for family in (*Metrics().registry.collect(), *LocustCollector(environment, lambda: 0, lambda: (0, 0)).collect()):
        names.add(f"{family.name}_total" if family.type == "counter" else family.name)
    # Workers, beat, canaries, gateway and Flower name their series where they make them.
    flower = find_spec("flower")
    assert flower is not None
    assert flower.submodule_search_locations is not None
    for file in [*(root / "workers").rglob("*.py"), Path(flower.submodule_search_locations[0]) / "events.py"]:
        for name in re.findall(
            r"['\"]((?:worker|beat|canary|outbox|gateway|http|flower)_[a-z_]+)['\"]", file.read_text()
        ):
            names |= {name, *(name + end for end in HISTOGRAM)}
    return names


def test_there_are_queries_and_no_variable_is_left() -> None:
    found = queries()
    assert len(found) > 80
    assert {query.dashboard for query in found} == {
        "celery-overview", "celery-tasks", "celery-pipeline", "celery-services",
    }  # fmt: skip
    assert not [query for query in found if "$queue" in query.expr or "$task" in query.expr]


@pytest.mark.parametrize("query", queries(), ids=ids)
def test_a_query_parses_and_reads_only_what_is_there(
    query: PanelQuery, prometheus: str, recorded: set[str], exposed: set[str]
) -> None:
    names = [name for name, _ in selected(parsed(prometheus, query.expr))]
    assert names, "a query that reads no series"
    unknown = [name for name in names if name not in recorded | exposed]
    assert not unknown, f"nobody records or exposes {', '.join(unknown)}"


@pytest.mark.parametrize(
    "query", [query for query in queries() if query.dashboard in ("celery-overview", "celery-tasks")], ids=ids
)
def test_what_people_look_at_first_reads_recorded_names_only(
    query: PanelQuery, prometheus: str, recorded: set[str]
) -> None:
    names = {name for name, _ in selected(parsed(prometheus, query.expr))} - {"ALERTS"}
    assert names <= recorded


def test_a_mistake_would_be_noticed(prometheus: str, recorded: set[str], exposed: set[str]) -> None:
    with pytest.raises(AssertionError, match="unclosed"):
        parsed(prometheus, "sum(queue:length")
    (found,) = selected(parsed(prometheus, 'rate(queue:lenght{queue="a"}[5m])'))
    assert found == ("queue:lenght", {"queue": "a", "__name__": "queue:lenght"})
    assert found[0] not in recorded | exposed
