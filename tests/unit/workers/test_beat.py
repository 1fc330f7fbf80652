"""Beat's own series, and the canaries that it sends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab, schedule
from nodes import Process, beat, worker

from harness.wait import Pending, until
from workers.instrumentation import beat as beat_module
from workers.instrumentation.beat import BeatState

DEADLINE = 90


@pytest.fixture(scope="module")
def pair(redis: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process]]:
    folder = tmp_path_factory.mktemp("beat")
    with (
        worker(redis, folder, "-P", "threads", "-c", "2", "-Q", "default") as node,
        beat(redis, folder, "-s", str(folder / "schedule")) as clock,
    ):
        yield clock, node


def test_ticks_and_entries_advance(pair: tuple[Process, Process]) -> None:
    clock, _ = pair
    tick = clock.value("beat_last_tick_timestamp_seconds")
    run = clock.value("beat_entry_last_run_timestamp_seconds", entry="canary default")
    assert abs(tick - time.time()) < DEADLINE
    until(lambda: clock.value("beat_last_tick_timestamp_seconds") > tick, "another tick", DEADLINE)
    until(lambda: clock.value("beat_entry_last_run_timestamp_seconds", entry="canary default") > run, "a run", DEADLINE)
    assert clock.value("beat_entry_interval_seconds", entry="canary default") == 1
    status, report = clock.page("/health")
    assert (status, set(report["checks"])) == (200, {"beat", "broker"})


def test_a_canary_comes_back_from_a_queue_that_is_served_and_from_no_other(pair: tuple[Process, Process]) -> None:
    clock, node = pair

    def back() -> bool | Pending:
        returned = node.value("canary_last_return_timestamp_seconds", queue="default")
        sent = {queue: clock.value("canary_last_sent_timestamp_seconds", queue=queue) for queue in ("default", "slow")}
        return (returned > 0 and all(sent.values())) or Pending(f"sent {sent}, returned {returned}")

    until(back, "a canary of the served queue", DEADLINE)
    assert node.value("canary_latency_seconds_count", queue="default") >= 1
    assert not [labels for labels, _ in node.samples("canary_latency_seconds_count") if labels["queue"] == "slow"]


class Service:
    """As much of beat's service as is watched."""

    def __init__(self, **entries: Any) -> None:
        self.scheduler = SimpleNamespace(schedule=entries, tick=self.tick, max_interval=5)
        self.fails = False

    def tick(self) -> float:
        if self.fails:
            raise ConnectionError
        return 5.0


def test_beat_is_unhealthy_once_it_stops_ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(beat_module.time, "monotonic", lambda: now[0])
    service = Service()
    health = BeatState(None, service).health(SimpleNamespace(verdict=lambda: None))
    now[0] += 24
    assert health.live()[0]
    now[0] += 2
    ok, report = health.live()
    assert not ok
    assert "turned 26.0 s ago" in report["checks"]["beat"]["detail"]
    service.scheduler.tick()
    assert health.live()[0]


def test_a_tick_that_fails_is_a_tick() -> None:
    service = Service()
    state = BeatState(None, service)
    service.fails = True
    with pytest.raises(ConnectionError):
        service.scheduler.tick()
    assert state.health(SimpleNamespace(verdict=lambda: None)).live()[0]


def test_the_interval_of_a_crontab_is_the_time_to_its_next_run() -> None:
    app = Celery(set_as_current=False)
    hourly = crontab(minute="0", app=app)
    start = app.now().replace(minute=0, second=0, microsecond=0)
    every = schedule(run_every=90, app=app)
    entries = {
        "hourly": SimpleNamespace(schedule=hourly, last_run_at=start),
        "every": SimpleNamespace(schedule=every, last_run_at=start),
        "unsent": SimpleNamespace(schedule=every, last_run_at=None),
    }
    families = {family.name: family for family in BeatState(None, Service(**entries)).collect()}
    intervals = {s.labels["entry"]: s.value for s in families["beat_entry_interval_seconds"].samples}
    assert intervals == pytest.approx({"hourly": 3600, "every": 90}, abs=2)
