"""What each path of observation costs a worker, on a task that does nothing.

``python -m tests.bench.overhead`` starts one prefork worker (one child) for each variant, all side by side on one
private Redis, and gives them the same number of messages by turns, in an order that changes each round. A variant is
judged by the processor time of its parent and child per task, as the median over the rounds of its ratio to the plain
worker *of the same round*: what else the machine does then touches both alike. Tasks per second are shown beside it; on
a machine that does something else they say little.

Processor time is counted until what was done has also been told: spans leave a worker some time after their tasks
(`OTEL_BSP_SCHEDULE_DELAY`, a second here), so each turn includes a pause that is longer, for every variant alike.

Beside each median are the bounds within which the true one lies with 95 % confidence, whatever the distribution. A goal
is met where the upper bound is below it, missed where the lower bound is not, and open where it lies between: then
more rounds, or a quieter machine, will tell.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
from celery import Celery

from harness.child import Child, running
from harness.ports import free_ports
from harness.private_redis import PrivateRedis, private_redis
from harness.wait import until

ROOT = Path(__file__).parents[2]
PLAIN, AGAIN = "plain", "plain again"
#: Spans wait in a worker for as long as the first, and each turn goes on for as long as the second.
SPAN_DELAY_SECONDS, SETTLE_SECONDS = 1.0, 1.5


@dataclass(frozen=True)
class Variant:
    """A way to observe, and the most that it should cost, where there is a goal."""

    name: str
    parts: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    goal: float | None = None


def variants(endpoint: str) -> list[Variant]:
    """The plain worker, the same once more (what is not a difference), and each path."""

    def sampled(ratio: str) -> dict[str, str]:
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": f"{SPAN_DELAY_SECONDS * 1000:.0f}",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": ratio,
        }

    return [
        Variant(PLAIN),
        Variant(AGAIN),
        Variant("events", "events"),
        Variant("in-process metrics", "metrics", goal=0.05),
        Variant("tracing off", "traces", goal=0.01),
        Variant("traces at 0 %", "traces", sampled("0")),
        Variant("traces at 10 %", "traces", sampled("0.1")),
        Variant("traces at 100 %", "traces", sampled("1")),
        Variant("OTLP metrics", "traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"}),
    ]


class Subject:
    """A worker of one variant."""

    def __init__(self, variant: Variant, redis: PrivateRedis, folder: Path, stack: ExitStack) -> None:
        self.variant = variant
        self.queue = variant.name.replace(" ", "-").replace("%", "pc")
        self._redis = redis.client()
        drop = ("OTEL_", "METRICS_", "CELERY_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
        env = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "BROKER_URL": redis.url,
            "OVERHEAD_PARTS": variant.parts,
            "OVERHEAD_QUEUE": self.queue,
            "METRICS_PORT": str(free_ports(1)[0]),
            **variant.environ,
        }
        command = [
            *(sys.executable, "-m", "celery", "-A", "tests.bench.overhead_app", "worker", "-P", "prefork", "-c", "1"),
            *("-n", f"{self.queue}@%h", "-Q", self.queue, "-l", "warning", "--without-mingle", "--without-gossip"),
        ]
        self.child: Child = stack.enter_context(running(command, log=folder / f"{self.queue}.log", env=env, cwd=ROOT))
        self._template = _message(redis.url, self.queue)

    def run(self, count: int) -> tuple[float, float]:
        """Have ``count`` tasks done; return processor seconds and seconds per task."""
        messages = [self._numbered(tag) for tag in range(count)]
        processes = [psutil.Process(self.child.pid), *psutil.Process(self.child.pid).children()]
        before, started = _busy(processes), time.perf_counter()
        with self._redis.pipeline(transaction=False) as pipe:
            for message in messages:
                pipe.lpush(self.queue, message)
            pipe.execute()
        until(self.idle, f"{self.queue} to be done; {self.child.said(20)}", timeout=300, interval=0.01)
        elapsed = time.perf_counter() - started
        time.sleep(SETTLE_SECONDS)
        return (_busy(processes) - before) / count, elapsed / count

    def idle(self) -> bool:
        """Whether nothing waits and nothing is delivered and not acknowledged: one worker works at a time."""
        return not self._redis.llen(self.queue) and not self._redis.hlen("unacked")

    def _numbered(self, tag: int) -> str:
        message: dict[str, Any] = json.loads(self._template)
        message["headers"]["id"] = message["headers"]["root_id"] = str(uuid.uuid4())
        message["properties"]["correlation_id"] = message["headers"]["id"]
        message["properties"]["delivery_tag"] = f"{self.queue}-{uuid.uuid4()}-{tag}"
        message["headers"]["enqueued_at"] = time.time()
        return json.dumps(message)


def _message(url: str, queue: str) -> bytes:
    """A message as Celery publishes it, taken back from the broker."""
    app = Celery("producer", broker=url, set_as_current=False)
    app.send_task("nothing", queue="template")  # a queue that nobody consumes
    with app.connection_for_read() as connection:
        raw: bytes = connection.default_channel.client.rpop("template")
    app.close()
    message = json.loads(raw)
    message["properties"]["delivery_info"]["routing_key"] = queue
    return json.dumps(message).encode()


def _busy(processes: list[psutil.Process]) -> float:
    """Processor seconds of all threads so far, to the nanosecond where the kernel tells, else to its ticks."""
    try:
        accounts = [path.read_text() for it in processes for path in Path(f"/proc/{it.pid}/task").glob("*/schedstat")]
    except OSError:
        accounts = []
    if accounts:
        return sum(int(account.split()[0]) for account in accounts) / 1e9
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


class Sink(BaseHTTPRequestHandler):
    """An OTLP back end that takes everything and looks at nothing."""

    def do_POST(self) -> None:
        """Take it."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def measure(rounds: int, count: int) -> dict[str, list[tuple[float, float]]]:
    """Processor seconds and seconds per task of each variant and round."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="overhead-")))
        redis = stack.enter_context(private_redis(folder / "redis"))
        sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        sink.daemon_threads = True
        Thread(target=sink.serve_forever, daemon=True).start()
        stack.callback(sink.shutdown)
        subjects = [
            Subject(variant, redis, folder, stack) for variant in variants(f"http://127.0.0.1:{sink.server_address[1]}")
        ]
        for subject in subjects:
            subject.run(count)  # imports, pools and caches are filled before anything is measured
        seen: dict[str, list[tuple[float, float]]] = {subject.variant.name: [] for subject in subjects}
        for number in range(rounds):
            for subject in random.sample(subjects, len(subjects)):
                seen[subject.variant.name].append(subject.run(count))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
        return seen


def median(values: list[float]) -> tuple[float, float, float]:
    """The median, and the bounds of its 95 % confidence interval: order statistics, by the sign test."""
    ordered, n = sorted(values), len(values)
    low = max(0, math.floor((n - 1.96 * math.sqrt(n)) / 2))
    return statistics.median(ordered), ordered[low], ordered[n - 1 - low]


def verdict(goal: float | None, low: float, high: float) -> str:
    """What the bounds of a cost say about its goal."""
    if goal is None:
        return ""
    said = "met" if high < goal else "MISSED" if low >= goal else "open"
    return f"{goal:.0%} {said}"


def report(seen: dict[str, list[tuple[float, float]]], goals: dict[str, float | None]) -> bool:
    """Print the table; return whether every goal was met."""
    # The plain worker runs twice a round: their mean is the yardstick, and how far they are apart is what is no cost.
    base = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in zip(seen[PLAIN], seen[AGAIN], strict=True)]
    print(
        f"{'variant':<20} {'µs cpu/task':>12} {'cpu':>8} {'95 % bounds':>18} "
        f"{'tasks/s':>8} {'throughput':>11} {'95 % bounds':>18}  goal"
    )
    verdicts = []
    for name, runs in seen.items():
        cpu, low, high = median([mine[0] / plain[0] - 1 for mine, plain in zip(runs, base, strict=True)])
        speed, slow, fast = median([plain[1] / mine[1] - 1 for mine, plain in zip(runs, base, strict=True)])
        verdicts.append(verdict(goals[name], low, high))
        print(
            f"{name:<20} {statistics.median(run[0] for run in runs) * 1e6:>12.0f} {cpu:>+8.1%} "
            f"{f'{low:+.1%}..{high:+.1%}':>18} {1 / statistics.median(run[1] for run in runs):>8.0f} "
            f"{speed:>+11.1%} {f'{slow:+.1%}..{fast:+.1%}':>18}  {verdicts[-1]}"
        )
    return all(not said or said.endswith("met") for said in verdicts)


def main() -> int:
    """Measure and print; status 1 where a goal is missed or open."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--tasks", type=int, default=1000, help="per variant and round")
    options = parser.parse_args()
    seen = measure(options.rounds, options.tasks)
    return 0 if report(seen, {variant.name: variant.goal for variant in variants("")}) else 1


if __name__ == "__main__":
    sys.exit(main())
