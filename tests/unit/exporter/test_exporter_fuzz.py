"""Whatever comes over the wire: no crash, no unbounded memory, no broken page, no impossible count."""

from __future__ import annotations

import json
import random
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from exporter.app import App
from exporter.causes import exception_class
from exporter.config import Settings
from exporter.events import TYPES
from exporter.inbox import Piece
from exporter.redis_messages import read_head, read_unacked
from exporter.redis_source import RedisStream

LIMIT = 15
TASKS = 100
relaxed = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))

text = st.text(max_size=30) | st.sampled_from(["a", "b", "\ud800", "x" * 500, '"\\\n', "", "\0"])
number = st.floats(allow_nan=True) | st.integers() | st.sampled_from([0, -1, 2**70, 1e308, -1e308])
anything = st.recursive(
    st.none() | st.booleans() | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
kinds = st.sampled_from([tag for _, tag in TYPES]) | text
# Few ids, names and hosts, so that events meet each other's tasks.
few = st.sampled_from([f"id{n}" for n in range(6)])
sensible = st.fixed_dictionaries(
    {"type": kinds, "uuid": few, "timestamp": st.floats(0, 2e9), "hostname": st.sampled_from(["one@h", "two@h", "c"])},
    optional={
        "name": st.sampled_from(["a", "b", "c"]) | text,
        "queue": st.sampled_from(["q1", "q2"]) | text,
        "retries": st.integers(-1, 3),
        "eta": st.sampled_from(["2030-01-01T00:00:00+00:00", "nonsense", "9999-12-31T23:59:59"]),
        "runtime": st.floats(allow_nan=False),
        "exception": st.sampled_from(["ValueError('x')", "ExceptionWithTraceback()", "<odd>"]) | text,
        "traceback": text,
        "requeue": st.booleans(),
        "expired": st.booleans(),
        "terminated": st.booleans(),
        "pid": st.integers(0, 3),
        "processed": st.integers(-5, 10**20),
        "active": st.integers(-5, 10**20),
        "freq": number,
    },
)
wild = st.dictionaries(st.sampled_from(["type", "uuid", "name", "timestamp", "queue", "hostname"]), anything)
events = st.lists(sensible | wild, max_size=25)


@pytest.fixture(scope="module")
def app() -> Any:
    """One exporter for all examples, so that what they leave behind adds up."""
    made = App(
        Settings(broker_url="redis://127.0.0.1:1/0", host="127.0.0.1", port=0, max_series=LIMIT, max_tasks=TASKS)
    )
    yield made
    made.stop()


def wire(message: bytes) -> bytes:
    """As Redis sends it to a subscriber."""
    parts = (b"pmessage", b"/0.celeryev/*", b"/0.celeryev/task.multi", message)
    return b"*4\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def sound(app: App) -> None:
    """The page can be parsed, is bounded, and no count is impossible."""
    page = app.report.render(openmetrics=True, scraper="fuzz", declared=True).decode()
    families = {family.name: family for family in parse_openmetrics(page)}
    for family in families.values():
        sets = {tuple(sorted(s.labels.items())) for s in family.samples if "le" not in s.labels}
        assert len(sets) <= 6 * LIMIT + 20, family.name
        if family.type in ("counter", "histogram"):
            for sample in family.samples:
                assert sample.value >= 0, sample
    memory = app.tracker.memory
    assert len(memory.waiting) + len(memory.running) <= 2 * TASKS


@relaxed
@given(batches=st.lists(events, max_size=8), steps=st.lists(st.floats(0, 500), min_size=8, max_size=8))
def test_an_hour_of_nonsense_changes_nothing_but_counters(app: App, batches: list[Any], steps: list[float]) -> None:
    stream = RedisStream(app.pipeline.dropped, once=False)
    for batch, step in zip(batches, steps, strict=False):
        now = app.pipeline._ticked + step
        body = json.dumps(batch if len(batch) != 1 else batch[0])
        envelope = {
            "body": b64encode(body.encode("utf-8", "surrogatepass")).decode(),
            "content-type": "application/json",
            "headers": {"hostname": "one@h"},
        }
        app.pipeline._take(Piece(now, wire(json.dumps(envelope).encode()), stream))
        app.pipeline._tick(now)
    sound(app)
    assert app.pipeline.dropped_by["internal"] == 0


def test_an_hour_of_a_mad_fleet_is_counted_and_bounded(app: App) -> None:
    """Ten events a second for an hour, all of known kinds, in no order that makes sense."""
    rng = random.Random(20)
    tags = [tag for _, tag in TYPES]
    stream = RedisStream(app.pipeline.dropped, once=False)
    before = sum(app.tracker.by_kind.values())
    for second in range(3600):
        node = f"w{rng.randrange(40)}@host{rng.randrange(10)}"
        batch = [
            {
                "type": rng.choice(tags),
                "uuid": f"id{rng.randrange(max(second, 1) // 2, second + 2)}",
                "timestamp": 1.7e9 + second + rng.uniform(-30, 30),
                "hostname": node,
                "name": f"task{rng.randrange(30)}",
                "queue": f"q{rng.randrange(5)}",
                "retries": rng.randrange(3),
                "eta": rng.choice([None, None, "2030-01-01T00:00:00"]),
                "runtime": rng.uniform(-1, 100),
                "exception": f"E{rng.randrange(50)}('x')",
                "requeue": rng.random() < 0.5,
                "processed": rng.randrange(1000),
                "freq": 2.0,
                "pid": rng.randrange(3),
            }
            for _ in range(10)
        ]
        envelope = {
            "body": b64encode(json.dumps(batch).encode()).decode(),
            "content-type": "application/json",
            "headers": {"hostname": node},
        }
        now = app.pipeline._ticked + 1.0
        app.pipeline._take(Piece(now, wire(json.dumps(envelope).encode()), stream))
        app.pipeline._tick(now)
    sound(app)
    assert sum(app.tracker.by_kind.values()) - before == 36_000
    assert app.pipeline.dropped_by["internal"] == 0


@settings(relaxed, max_examples=30)
@given(pieces=st.lists(st.binary(max_size=200) | st.binary(max_size=50).map(wire), max_size=8))
def test_bytes_that_are_no_messages_are_dropped(app: App, pieces: list[bytes]) -> None:
    stream = RedisStream(app.pipeline.dropped, once=True)
    for piece in pieces:
        app.pipeline._take(Piece(app.pipeline._ticked, piece, stream))
        if stream.broken:
            break
    sound(app)


@relaxed
@given(message=anything, extra=st.binary(max_size=60))
def test_any_message_in_a_queue_can_be_looked_at(message: Any, extra: bytes) -> None:
    for data in (json.dumps(message).encode("utf-8", "surrogatepass"), extra):
        read_head(data)
        read_unacked(data)


@relaxed
@given(exception=st.none() | st.text(max_size=200), traceback=st.none() | st.text(max_size=500))
def test_an_exceptions_class_is_always_a_short_plain_word(exception: str | None, traceback: str | None) -> None:
    found = exception_class(exception, traceback)
    assert found.isidentifier()
    assert len(found) <= 101


@pytest.mark.parametrize(
    ("exception", "traceback", "expected"),
    [
        ("ValueError('x')", None, "ValueError"),
        ("kombu.exceptions.OperationalError('x')", None, "OperationalError"),
        (
            "ExceptionWithTraceback()",
            'Traceback (most recent call last):\n  File "pool.py", line 1, in f\n    raise WorkerLostError(\n'
            "billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL) Job: 3.\n",
            "WorkerLostError",
        ),
        (
            "<odd>",
            'Traceback (most recent call last):\n  File "a.py", line 1, in f\nKeyError: 1\n\n'
            "During handling of the above exception, another exception occurred:\n\n"
            'Traceback (most recent call last):\n  File "a.py", line 2, in g\n'
            "    raise app.OddError\napp.OddError: first line\nSecondLine: of the message\n",
            "OddError",
        ),
        ("<odd>", "", "UnknownException"),
        (None, None, "UnknownException"),
    ],
)
def test_the_class_is_that_of_the_last_error(exception: str | None, traceback: str | None, expected: str) -> None:
    assert exception_class(exception, traceback) == expected
