"""Files of dead processes: added up into one of each kind, without a scrape that sees less or more."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from workers.instrumentation.dead_files import NodeCollector, NodeFiles


@pytest.fixture(scope="module")
def dead() -> list[int]:
    """Process ids that were, and are no more."""
    pids = []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        pids.append(process.pid)
    return pids


def write(folder: Path, kind: str, pid: int | str, value: float, stamp: float = 0.0, **labels: str) -> Path:
    """A file as prometheus_client leaves it, with one series."""
    path = folder / f"{kind}_{pid}.db"
    file = MmapedDict(str(path))
    name = f"{kind}_total" if kind == "counter" else kind
    key = mmap_key(kind, name, list(labels), list(labels.values()), "Help.")
    file.write_value(key, value, stamp)
    file.close()
    return path


def scrape(files: NodeFiles) -> dict[str, float]:
    """All samples by name and labels."""
    return {
        sample.name + "".join(f",{key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in NodeCollector(files).collect()
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("kind", "expected"), [("counter", 6.0), ("gauge_sum", 6.0), ("gauge_max", 3.0), ("gauge_min", 1.0)]
)
def test_what_the_dead_wrote_becomes_one_file(tmp_path: Path, dead: list[int], kind: str, expected: float) -> None:
    for value, pid in enumerate(dead, start=1):
        write(tmp_path, kind, pid, value)
    files = NodeFiles(tmp_path)
    assert files.merge_dead() == 3
    assert [path.name for path in tmp_path.glob("*.db")] == [f"{kind}_merged.db"]
    assert list(scrape(files).values()) == [expected]
    assert files.merge_dead() == 0


def test_a_second_generation_adds_to_the_first(tmp_path: Path, dead: list[int]) -> None:
    files = NodeFiles(tmp_path)
    for value, pid in ((5, dead[0]), (7, dead[1])):
        write(tmp_path, "counter", pid, value, queue="a")
        assert files.merge_dead() == 1
    write(tmp_path, "counter", os.getpid(), 1, queue="a")
    assert scrape(files) == {"counter_total,queue=a": 13.0}


def test_the_latest_of_two_dead_is_kept(tmp_path: Path, dead: list[int]) -> None:
    write(tmp_path, "gauge_mostrecent", dead[0], 1, stamp=20)
    write(tmp_path, "gauge_mostrecent", dead[1], 2, stamp=10)
    files = NodeFiles(tmp_path)
    files.merge_dead()
    assert list(scrape(files).values()) == [1.0]


@pytest.mark.parametrize("kind", ["gauge_livesum", "gauge_liveall", "gauge_all"])
def test_gauges_that_only_the_living_vouch_for_go(tmp_path: Path, dead: list[int], kind: str) -> None:
    write(tmp_path, kind, dead[0], 9)
    living = write(tmp_path, kind, os.getpid(), 4)
    files = NodeFiles(tmp_path)
    assert list(scrape(files).values()) == [4.0]
    assert list(tmp_path.glob("*.db")) == [living]


def test_a_new_process_with_a_dead_ones_id_starts_with_clean_gauges(tmp_path: Path) -> None:
    write(tmp_path, "gauge_livesum", os.getpid(), 4)
    counter = write(tmp_path, "counter", os.getpid(), 4)
    NodeFiles(tmp_path).drop_gauges_of(os.getpid())
    assert list(tmp_path.glob("*.db")) == [counter]


def test_a_file_that_is_being_made_does_not_break_a_scrape(tmp_path: Path, dead: list[int]) -> None:
    write(tmp_path, "counter", os.getpid(), 4)
    (tmp_path / "histogram_1.db").touch()
    (tmp_path / f"counter_{dead[0]}.db").touch()
    assert scrape(NodeFiles(tmp_path)) == {"counter_total": 4.0}


def test_seeded_series_are_there_and_change_no_count(tmp_path: Path, dead: list[int]) -> None:
    files = NodeFiles(tmp_path)
    write(tmp_path, "counter", dead[0], 3, queue="a")
    files.merge_dead()
    keys = [mmap_key("counter", "counter_total", ["queue"], [queue], "Help.") for queue in ("a", "b")]
    files.seed("counter", keys)
    files.seed("counter", keys)
    assert scrape(files) == {"counter_total,queue=a": 3.0, "counter_total,queue=b": 0.0}


def test_a_scrape_during_a_merge_never_sees_a_count_go_back(tmp_path: Path, dead: list[int]) -> None:
    files = NodeFiles(tmp_path)
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    over = threading.Event()
    seen: list[float] = []

    def watch() -> None:
        while not over.is_set():
            seen.append(sum(scrape(files).values()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(30):
            for pid in dead:
                target = tmp_path / f"counter_{pid}.db"
                write(drafts, "counter", pid, 1).replace(target)
                files.merge_dead()
    finally:
        over.set()
        watcher.join()
    assert seen == sorted(seen)
    assert seen[-1] > 0, "nothing was seen while it happened"
    assert sum(scrape(files).values()) == 90
