"""The dashboards as committed: up to date, complete, and the ones that alerts link to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from grafana.boards import BOARDS
from grafana.build import FOLDER, stale, texts

ROOT = Path(__file__).resolve().parents[3]
PROVISIONING = ROOT / "grafana" / "provisioning"


def dashboards() -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]


def test_regenerating_changes_nothing() -> None:
    assert stale() == []


def test_a_hand_edit_a_missing_and_a_leftover_file_are_noticed(tmp_path: Path) -> None:
    for name, text in texts().items():
        (tmp_path / name).write_text(text)
    assert stale(tmp_path) == []
    (tmp_path / "overview.json").write_text(texts()["overview.json"].replace("Waiting", "Queued"))
    (tmp_path / "tasks.json").unlink()
    (tmp_path / "old.json").write_text("{}")
    assert stale(tmp_path) == ["old.json", "overview.json", "tasks.json"]


def test_the_text_is_the_same_in_another_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "grafana.build", "--check"],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "7", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_overview_fits_one_screen() -> None:
    """The four questions come first, above what needs scrolling: 20 rows of Grafana's grid are some 760 pixels."""
    overview = next(board for board in BOARDS if board.uid == "celery-overview")
    titles = " ".join(panel.title for panel in overview.rows[0].panels)
    for question in ("backlog draining?", "anything failing?", "tasks wait?", "workers saturated?"):
        assert question in titles
    made = json.loads((FOLDER / "overview.json").read_text())
    ends = [panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in made["panels"]]
    assert max(ends[: len(overview.rows[0].panels)]) <= 20


@pytest.mark.parametrize("made", dashboards(), ids=lambda made: made["uid"])
def test_a_dashboard_is_read_only_and_its_panels_are_told_apart(made: dict) -> None:
    assert made["editable"] is False
    panels = [panel for panel in made["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels]
    assert len(set(titles)) == len(titles)
    assert all(panel["description"].strip() for panel in panels)
    assert all(panel["targets"] for panel in panels)
    assert {panel["datasource"]["uid"] for panel in panels} <= {"prometheus", "jaeger"}


@pytest.mark.parametrize("made", dashboards(), ids=lambda made: made["uid"])
def test_panels_do_not_overlap_and_stay_within_the_grid(made: dict) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in made["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24, panel["title"]
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_uids_are_the_ones_that_are_linked_to() -> None:
    assert {board.uid for board in BOARDS} == {"celery-overview", "celery-tasks", "celery-pipeline", "celery-services"}
    assert {made["uid"] for made in dashboards()} == {board.uid for board in BOARDS}


def test_every_alert_links_to_a_dashboard_and_to_choices_that_are_there() -> None:
    variables = {board.uid: {variable.name for variable in board.variables} for board in BOARDS}
    seen = 0
    for file in sorted((ROOT / "prometheus" / "rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" not in rule:
                    continue
                seen += 1
                # Label values come in by Prometheus' templates, which are no part of an address.
                url = urlsplit(re.sub(r"\{\{.*?\}\}", "x", rule["annotations"]["dashboard_url"]))
                uid = url.path.removeprefix("/d/").partition("/")[0]
                assert uid in variables, rule["alert"]
                chosen = {name.removeprefix("var-") for name in parse_qs(url.query) if name.startswith("var-")}
                assert chosen <= variables[uid], rule["alert"]
    assert seen > 20


def test_links_between_dashboards_lead_somewhere() -> None:
    uids = {board.uid for board in BOARDS}
    for board in BOARDS:
        for panel in board.panels:
            if panel.link and panel.link[1].startswith("/d/"):
                assert urlsplit(panel.link[1]).path.removeprefix("/d/") in uids, panel.title


def test_data_sources_are_read_only_and_have_the_uids_of_the_panels() -> None:
    sources = yaml.safe_load((PROVISIONING / "datasources" / "datasources.yml").read_text())["datasources"]
    assert {source["uid"]: source["type"] for source in sources} == {"prometheus": "prometheus", "jaeger": "jaeger"}
    assert all(source["editable"] is False for source in sources)
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "dashboards.yml").read_text())["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
