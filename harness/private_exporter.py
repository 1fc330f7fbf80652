"""This project's exporter as a test's own process, and what its page says."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import requests
from prometheus_client.parser import text_string_to_metric_families

from harness.child import Child, running
from harness.ports import free_ports
from harness.wait import until

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 90

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Series:
    """The samples of a page in Prometheus' text format: value by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(series: Series, name: str, /, **labels: str) -> float:
    """The sum over the samples of a name that carry these labels; 0 where there are none."""
    wanted = set(labels.items())
    return sum(value for (found, has), value in series.items() if found == name and wanted <= has)


@dataclass
class PrivateExporter:
    """A running exporter."""

    child: Child
    port: int

    def text(self, timeout: float = 60) -> str:
        """Its metrics now, as text. Raises an OSError while it does not serve them.

        Each reading is somebody else's, so that none is taken for a scraper, which is shown a new counter as 0 first.
        """
        reader = {"User-Agent": f"reader {uuid4()}"}
        answer = requests.get(f"http://127.0.0.1:{self.port}/metrics", headers=reader, timeout=timeout)
        answer.raise_for_status()
        return answer.text

    def series(self) -> Series:
        """Its metrics now."""
        return parse(self.text())

    def total(self, name: str, /, **labels: str) -> float:
        """The sum over the samples of a name that carry these labels, now; 0 where there are none."""
        return total(self.series(), name, **labels)

    def listening(self) -> bool:
        """Whether it serves metrics and hears events. Raises RuntimeError, with its last lines, where it ended."""
        if not self.child.running:
            raise RuntimeError(f"the exporter ended:\n{self.child.said()}")
        return self.total("celery_exporter_event_stream_up") == 1


@contextmanager
def private_exporter(broker_url: str, folder: Path, options: Sequence[str] = ()) -> Iterator[PrivateExporter]:
    """The exporter for the time of a block, which begins when it hears events; it logs into ``folder``."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "exporter", f"--broker-url={broker_url}", "--host=127.0.0.1", f"--port={port}"]
    with running([*command, *options], log=folder / "exporter.log", cwd=ROOT) as child:
        exporter = PrivateExporter(child, port)
        until(exporter.listening, "the exporter to hear events", START_SECONDS)
        yield exporter
