"""How long Prometheus takes to evaluate the rules for a large fleet: `make bench-rules`.

A real Prometheus scrapes a made-up fleet of 50 queues, 500 tasks and 200 workers and evaluates the committed
rules. Scrapes, windows and rule intervals are divided by one factor, so that every window holds as many samples
as it does in production and the measurement takes minutes instead of hours; the work of one cycle is the same.
Printed: the time of each rule group, and of one whole cycle (all groups of the base interval, and the others by
their share), as the median over the cycles seen. Exit status 1 when that median is over the goal.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import requests
import yaml

from harness.binaries import find
from harness.clock import render
from harness.ports import free_ports
from harness.wait import until
from tests.bench.rules_fleet import QUEUES, TASKS, WORKERS, Handler

ROOT = Path(__file__).parents[2]
GOAL_SECONDS = 0.25
BASE_SECONDS = 15.0
FACTOR = 15


def main() -> int:
    """The command's exit status."""
    options = argparse.ArgumentParser(prog="python -m tests.bench.rules", description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=60.0, help="how long cycles are watched, after the warm-up")
    options.add_argument("--warm-up", type=float, default=60.0, help="seconds for the windows to fill")
    chosen = options.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory() as folder, _prometheus(Path(folder), server.server_port) as url:
            return _measure(url, chosen.warm_up, chosen.seconds)
    finally:
        server.shutdown()


@contextlib.contextmanager
def _prometheus(folder: Path, fleet_port: int) -> Iterator[str]:
    """A Prometheus over the fleet, with the committed rules on the fast clock; ended with the block."""
    render(ROOT / "prometheus", folder / "config", FACTOR)
    interval = f"{BASE_SECONDS / FACTOR:g}s"
    target = [{"targets": [f"127.0.0.1:{fleet_port}"]}]
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules/*.yml"],
        "scrape_configs": [
            {"job_name": "celery", "metrics_path": "/exporter", "static_configs": target},
            {"job_name": "worker", "metrics_path": "/workers", "honor_labels": True, "static_configs": target},
        ],
    }
    (folder / "config" / "prometheus.yml").write_text(yaml.safe_dump(config))
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    tool = find("prometheus")
    process = subprocess.Popen(
        tool.command(
            f"--config.file={folder}/config/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--log.level=error",
        ),
        env=tool.env,
        stdin=subprocess.DEVNULL,
    )
    try:
        until(lambda: requests.get(f"{url}/-/ready", timeout=5).ok, f"Prometheus to answer at {url}", timeout=60)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def _measure(url: str, warm_up: float, seconds: float) -> int:
    print(f"{QUEUES} queues, {TASKS} tasks, {WORKERS} workers; windows fill for {warm_up:g} s", flush=True)
    end = time.monotonic() + warm_up
    until(lambda: time.monotonic() > end, "the windows to fill", timeout=warm_up + 30, interval=1)
    taken: dict[str, list[float]] = {}
    intervals: dict[str, float] = {}
    seen: dict[str, str] = {}
    end = time.monotonic() + seconds

    def watched() -> bool:
        for group in requests.get(f"{url}/api/v1/rules", timeout=10).json()["data"]["groups"]:
            name = group["name"]
            if seen.get(name) != group["lastEvaluation"]:
                seen[name] = group["lastEvaluation"]
                intervals[name] = group["interval"] * FACTOR
                taken.setdefault(name, []).append(group["evaluationTime"])
        return time.monotonic() > end

    until(watched, "the cycles to be watched", timeout=seconds + 60, interval=BASE_SECONDS / FACTOR / 4)
    return _report(url, taken, intervals)


def _report(url: str, taken: dict[str, list[float]], intervals: dict[str, float]) -> int:
    rows = sorted(((statistics.median(times), name) for name, times in taken.items()), reverse=True)
    print(f"{'rule group':32} {'every':>6} {'cycles':>6} {'median':>10} {'worst':>10}")
    for median, name in rows:
        worst = max(taken[name])
        print(f"{name:32} {intervals[name]:5.0f}s {len(taken[name]):6} {median * 1000:7.1f} ms {worst * 1000:7.1f} ms")
    cycle = sum(median * BASE_SECONDS / intervals[name] for median, name in rows)
    all_at_once = sum(median for median, _name in rows)
    query = {"query": 'count({__name__=~".+"})'}
    series = requests.get(f"{url}/api/v1/query", params=query, timeout=60).json()["data"]["result"][0]["value"][1]
    print(f"{series} series; a cycle takes {cycle * 1000:.0f} ms", end="")
    print(f", {all_at_once * 1000:.0f} ms where every slower group is due in it")
    print("PASS" if cycle <= GOAL_SECONDS else f"FAIL: the goal is {GOAL_SECONDS * 1000:.0f} ms")
    return 0 if cycle <= GOAL_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
