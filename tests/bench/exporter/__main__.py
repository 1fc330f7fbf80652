"""Runs the measurements and prints their table. See ``python -m tests.bench.exporter --help``."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import psutil

from harness.environments import Environment, InstallError, ensure
from harness.paths import STATE
from tests.bench.exporter.bench import Bench, Row

HERE = Path(__file__).parent
MODULES = ("throughput", "scrape", "burst", "memory", "backlog", "lost_worker", "reconnect")
MEASUREMENTS = {module.NAME: module for name in MODULES for module in [import_module(f"tests.bench.exporter.{name}")]}
SUBJECTS = ("bare loop", "ours", "upstream")


def main() -> int:
    """Measure what is asked for. Status 1: something is not as wanted; 2: the command line is wrong."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended on the way out
    environment = None if "upstream" not in options.subjects else _published()
    rows: list[Row] = []
    failed: list[str] = []
    for name in options.names:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
            bench = Bench(Path(folder), options.quick, environment, frozenset(options.subjects))
            bench.say(f"{name} begins")
            try:
                for row in MEASUREMENTS[name].run(bench):
                    rows.append(row)
                    bench.say(f"{row.measurement}: {row.subject}: {row.what}: {row.value}{_verdict(row)}")
            except Exception as error:  # one measurement that cannot be made leaves the others
                failed.append(f"{name}: {type(error).__name__}: {error}")
                bench.say(f"{failed[-1]}")
    _print(rows, options.names, options.quick)
    for text in failed:
        print(f"NOT MEASURED: {text}")
    if options.json:
        options.json.write_text(json.dumps([row.as_dict() for row in rows], indent=2) + "\n")
    return 1 if failed or any(row.met is False for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.exporter", description="Measures the celery exporter.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(MEASUREMENTS)} (all)")
    parser.add_argument("--quick", action="store_true", help="small numbers: shows that it works, not how fast it is")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="whom to measure (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    options.names = options.names or list(MEASUREMENTS)
    options.subjects = [name.strip() for name in options.subjects.split(",")]
    for name in [*options.names, *options.subjects]:
        if name not in MEASUREMENTS and name not in SUBJECTS:
            parser.error(f"unknown name {name!r}: measurements are {', '.join(MEASUREMENTS)}; subjects {SUBJECTS}")
    return options


def _published() -> Environment | None:
    """The environment of the published exporter, or None, with a line that says so."""
    try:
        return ensure(
            STATE / "bench" / "upstream",
            [HERE / "upstream.txt", HERE / "upstream-exporter.txt"],
            options=["--no-deps", "--ignore-requires-python"],
        )
    except InstallError as error:
        print(f"The published exporter is left out, it cannot be installed: {error}", file=sys.stderr)
        return None


def _print(rows: Sequence[Row], names: Sequence[str], quick: bool) -> None:
    columns = ("measurement", "program", "what", "value", "wanted", "")
    cells = [columns, *((r.measurement, r.subject, r.what, r.value, r.wanted, _verdict(r).strip()) for r in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(columns))]
    print()
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(f"\nHow it was measured ({_machine()}{'; QUICK: figures are a smoke test only' if quick else ''})")
    for name in names:
        print(textwrap.fill(MEASUREMENTS[name].HOW, 110, initial_indent=f"{name}: ", subsequent_indent="    "))


def _machine() -> str:
    load = psutil.getloadavg()[0]
    return f"{psutil.cpu_count()} cores, load {load:.1f} at the end, Python {platform.python_version()}"


def _verdict(row: Row) -> str:
    return {None: "", True: "  met", False: "  NOT MET"}[row.met]


if __name__ == "__main__":
    sys.exit(main())
