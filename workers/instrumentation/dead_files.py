"""Keeps what dead children counted, without keeping their files.

prometheus_client gives each process files of its own and leaves them when it dies, so a pool that recycles its
children fills the disk and makes each scrape slower. Here the parent adds the files of dead children up into one
file of each kind, and drops the gauges that only a living process can vouch for.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

# prometheus_client has no types for its files.
# mypy: disallow-untyped-calls=False
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

#: Stands in the place of the process id in the name of a merged file.
MERGED = "merged"

#: A value and the time that it was set at; the time matters to gauges in mode ``mostrecent`` only.
Stamped = tuple[float, float]


def _sum(a: Stamped, b: Stamped) -> Stamped:
    return a[0] + b[0], 0.0


def _largest(a: Stamped, b: Stamped) -> Stamped:
    return max(a[0], b[0]), 0.0


def _smallest(a: Stamped, b: Stamped) -> Stamped:
    return min(a[0], b[0]), 0.0


def _latest(a: Stamped, b: Stamped) -> Stamped:
    return max(a, b, key=lambda value: value[1])


#: How two dead processes' values become one, by the kind that prometheus_client names its files after.
#: A kind that is not here (``gauge_all`` and every ``gauge_live...``) goes with its process.
MERGES: dict[str, Callable[[Stamped, Stamped], Stamped]] = {
    "counter": _sum,
    "histogram": _sum,
    "summary": _sum,
    "gauge_sum": _sum,
    "gauge_max": _largest,
    "gauge_min": _smallest,
    "gauge_mostrecent": _latest,
}


class NodeFiles:
    """The metric files of one worker node: read by scrapes, and merged as its processes die."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Held while files are read for a scrape or merged, so that a scrape sees a dead child's counts once.
        self.reading = threading.Lock()
        #: Held while files are merged, and while this process forks: a new child may get a dead one's process id.
        self.forking = threading.Lock()

    def merge_dead(self) -> int:
        """Merge and remove the files of processes that are gone; return how many files went."""
        with self.reading, self.forking:
            dead: dict[str, list[Path]] = {}
            for file in self.written():
                kind, _, owner = file.stem.rpartition("_")
                if owner.isdigit() and not _alive(int(owner)):
                    dead.setdefault(kind, []).append(file)
            for kind, files in dead.items():
                if kind in MERGES:
                    self._add(kind, _values(files))
                for file in files:
                    file.unlink(missing_ok=True)
            return sum(map(len, dead.values()))

    def seed(self, kind: str, keys: Iterable[str]) -> None:
        """Have series appear with the value 0 before they first count, so that a first failure is a rise."""
        with self.reading:
            self._add(kind, ((key, (0.0, 0.0)) for key in keys))

    def drop_gauges_of(self, pid: int) -> None:
        """Remove the live gauges of a process with this id that came before the one that has it now."""
        for file in self.path.glob(f"gauge_live*_{pid}.db"):
            file.unlink(missing_ok=True)

    def written(self) -> list[Path]:
        """The files that can be read. One that a child makes at this moment is still empty, and would not parse."""
        found = []
        for file in self.path.glob("*.db"):
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_size:
                    found.append(file)
        return found

    def _add(self, kind: str, values: Iterable[tuple[str, Stamped]]) -> None:
        """Add ``values`` to the merged file of ``kind``, replacing it in one step."""
        merge = MERGES[kind]
        target = self.path / f"{kind}_{MERGED}.db"
        total: dict[str, Stamped] = dict(_values([target])) if target.exists() else {}
        for key, value in values:
            total[key] = merge(total[key], value) if key in total else value
        draft = target.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        file = MmapedDict(str(draft))
        try:
            for key, (number, stamp) in total.items():
                file.write_value(key, number, stamp)
        finally:
            file.close()
        draft.replace(target)


class NodeCollector(Collector):
    """All processes' metrics added up, for a registry; a scrape first merges the files of the dead."""

    def __init__(self, files: NodeFiles) -> None:
        self._files = files

    def collect(self) -> Iterator:  # type: ignore[type-arg]
        self._files.merge_dead()
        with self._files.reading:
            return iter(list(MultiProcessCollector.merge(map(str, self._files.written()), accumulate=True)))


def _values(files: Iterable[Path]) -> Iterator[tuple[str, Stamped]]:
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            for key, value, stamp, _ in MmapedDict.read_all_values_from_file(str(file)):
                yield key, (value, stamp)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's process
    return True
