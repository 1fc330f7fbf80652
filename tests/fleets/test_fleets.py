"""The same real fleet under every Celery line, each in an environment of its own: the exporter counts the same."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from expected import EXPECTED, Counts
from fleet import QUEUE, STEPS
from tap import Tap

from harness.child import Child, running
from harness.environments import Environment, ensure
from harness.paths import STATE
from harness.private_exporter import PrivateExporter, private_exporter
from harness.private_redis import PrivateRedis, private_redis
from harness.wait import DeadlineError, Pending, holds, until
from tests.bench.exporter.stream import Stream

HERE = Path(__file__).parent
LINES = sorted(file.stem for file in (HERE / "requirements").glob("celery-*.txt"))
#: Long for a machine that is busy: a step takes one to six seconds.
STEP_SECONDS = 120
#: An event that is counted twice comes this late at most.
SETTLED_SECONDS = 3
WORKER = "one@fleet"

pytestmark = [pytest.mark.redis, pytest.mark.timeout(900)]


@pytest.mark.parametrize("line", LINES)
def test_every_line_is_counted_the_same(line: str, tmp_path: Path) -> None:
    environment = ensure(STATE / "fleets" / line.removeprefix("celery-"), [HERE / "requirements" / f"{line}.txt"])
    with (
        private_redis(tmp_path / "redis") as broker,
        Tap(broker) as tap,
        private_exporter(broker.url, tmp_path) as exporter,
    ):
        _take_step("expires", environment, broker, tmp_path)
        with _worker(environment, broker, tmp_path) as worker:
            until(lambda: exporter.total("celery_worker_up", worker=WORKER) == 1, "the worker to be up", STEP_SECONDS)
            _until_counted("expires", exporter, worker, tap)
            for step in STEPS:
                if step != "expires":
                    _take_step(step, environment, broker, tmp_path)
                    _until_counted(step, exporter, worker, tap)
            holds(lambda: _counted(exporter) == EXPECTED, "the counts", SETTLED_SECONDS)
            assert exporter.total("celery_worker_info", worker=WORKER, version=_version(environment)) == 1
            assert exporter.total("celery_exporter_events_dropped_total") == 0
            assert exporter.total("celery_worker_events_lost_total", worker=WORKER) == 0
            # The two that took their process along; a time limit and a termination end it on purpose.
            assert exporter.total("celery_worker_children_lost_total") == 2
        if line == LINES[-1]:
            _assert_that_the_benchmark_speaks_as_workers_do(broker, tap)


def _take_step(step: str, environment: Environment, broker: PrivateRedis, folder: Path) -> None:
    done = subprocess.run(
        [str(environment.python), "fleet.py", step, str(folder)],
        env=environment.environ(FLEET_BROKER=broker.url),
        cwd=HERE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STEP_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def _worker(environment: Environment, broker: PrivateRedis, folder: Path) -> Iterator[Child]:
    command = [environment.python, "-m", "celery", "-A", "fleet", "worker", "-n", WORKER, "-c", "2", "-l", "info"]
    environ = environment.environ(FLEET_BROKER=broker.url, PYTHONDONTWRITEBYTECODE="1")
    with running(command, log=folder / "worker.log", env=environ, cwd=HERE) as child:
        yield child


def _until_counted(step: str, exporter: PrivateExporter, worker: Child, tap: Tap) -> None:
    task = f"fleet.{step}"

    def complete() -> bool | Pending:
        counted = _counted(exporter)
        found = counted.get(task, {})
        if found == EXPECTED[task]:
            return True
        more, less = _without(found, EXPECTED[task]), _without(EXPECTED[task], found)
        strangers = {name: counts for name, counts in counted.items() if name not in EXPECTED}
        return Pending(f"more: {more}; less: {less}; of unknown tasks: {strangers}")

    try:
        until(complete, f"the counts of {task}", STEP_SECONDS)
    except DeadlineError as late:
        heard = [event for event in tap.events if event.get("uuid") in tap.ids(task)]
        raise AssertionError(f"{late}\nthe worker said:\n{worker.said(12)}\nand sent:\n{_lines(heard)}") from None


def _assert_that_the_benchmark_speaks_as_workers_do(broker: PrivateRedis, tap: Tap) -> None:
    """The newest line's events and envelopes have the fields, in the order, of those that the benchmark makes up."""
    stream = Stream()
    with Tap(broker) as made, socket.create_connection(("127.0.0.1", broker.port)) as connection:

        def heard() -> bool:
            connection.sendall(stream.heartbeats() + stream.batch())
            return {"task.sent", "task.multi", "worker.heartbeat"} <= made.envelopes.keys()

        until(heard, "the benchmark's events", STEP_SECONDS)
    for kind in ("task-sent", "task-received", "task-started", "task-succeeded", "worker-heartbeat"):
        first, real = (next(event for event in side.events if event["type"] == kind) for side in (made, tap))
        assert list(first) == list(real)
    for key, envelope in made.envelopes.items():
        assert _shape(envelope) == _shape(tap.envelopes[key])


def _shape(value: object) -> object:
    return [(key, _shape(inner)) for key, inner in value.items()] if isinstance(value, dict) else type(value)


def _lines(events: list[dict[str, object]]) -> str:
    shown = ("timestamp", "type", "retries", "requeue", "exception", "expired", "terminated", "uuid")
    return "\n".join(" ".join(f"{key}={event[key]}" for key in shown if key in event) for event in events)


def _without(these: Counts, those: Counts) -> Counts:
    return {key: value for key, value in these.items() if those.get(key) != value}


def _counted(exporter: PrivateExporter) -> dict[str, Counts]:
    """The counters of the script's tasks on their queue that are not zero."""
    names = {name for counts in EXPECTED.values() for name, _labels in counts}
    found: dict[str, Counts] = {}
    for (name, labels), value in exporter.series().items():
        by_name = dict(labels)
        task, queue = by_name.pop("name", ""), by_name.pop("queue_name", "")
        if name in names and value:
            assert queue == QUEUE, f"{name} of {task} is counted on queue {queue!r}"
            found.setdefault(task, {})[name, tuple(sorted(by_name.items()))] = value
    return found


def _version(environment: Environment) -> str:
    done = subprocess.run(
        [str(environment.python), "-c", "import celery; print(celery.__version__)"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment.environ(),
        timeout=STEP_SECONDS,
        check=True,
    )
    return done.stdout.strip()
