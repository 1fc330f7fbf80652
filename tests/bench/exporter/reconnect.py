"""How soon an exporter counts again once Redis is back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

from harness.private_exporter import total
from harness.private_redis import PrivateRedis
from harness.wait import DeadlineError, holds, until
from tests.bench.exporter.bench import Bench, Row
from tests.bench.exporter.stream import Stream
from tests.bench.exporter.subjects import Subject

NAME = "reconnect"
HOW = (
    "Redis is killed with SIGKILL, stays away for 0.2 to 10 s, and is started again on the same port; from its first "
    "answer a batch of events is published every 20 ms. Seconds from that first answer until /metrics shows a higher "
    "count; worst of the rounds. Reading upstream's page takes two of its seconds."
)
AWAY_SECONDS = (0.2, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10)
DEADLINE_SECONDS = 60
WANTED_SECONDS = 2


def run(bench: Bench) -> Iterator[Row]:
    """Yields the worst of ten for each exporter."""
    for name in bench.exporters():
        away = AWAY_SECONDS if name == "ours" else AWAY_SECONDS[::3]
        taken: list[float] = []
        with bench.redis() as broker, bench.start(name, broker) as exporter:
            stream = Stream()
            for seconds in away if not bench.quick else away[:2]:
                taken.append(_round(broker, exporter, stream, seconds))
                bench.say(f"{NAME}: {name}, {seconds} s away: counting after {taken[-1]:.2f} s")
        worst = max(taken)
        mine = name == "ours"
        yield Row(
            NAME,
            name,
            f"Redis' return to counting, worst of {len(taken)}",
            f"{worst:.2f} s" if worst < DEADLINE_SECONDS else f"not within {DEADLINE_SECONDS} s",
            f"within {WANTED_SECONDS} s" if mine else "",
            worst <= WANTED_SECONDS if mine else None,
        )


def _round(broker: PrivateRedis, exporter: Subject, stream: Stream, away: float) -> float:
    broker.kill()
    holds(lambda: exporter.child.running, f"{exporter.name} to live without Redis", away)
    broker.start()
    back = time.monotonic()
    before: list[float] = []
    with socket.create_connection(("127.0.0.1", broker.port), timeout=30) as connection:
        connection.sendall(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n")

        def counts() -> bool:
            connection.sendall(stream.batch())
            before.append(total(exporter.series(), "celery_task_started_total"))
            return before[-1] > before[0]

        try:
            until(counts, f"{exporter.name} to count again", DEADLINE_SECONDS, interval=0.02)
        except DeadlineError:
            return DEADLINE_SECONDS
        return time.monotonic() - back
