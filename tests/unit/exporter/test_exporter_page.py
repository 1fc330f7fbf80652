"""The page: what scrapers and people are shown, in which format, and that it is never stale."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter import catalogue
from exporter.app import App
from exporter.births import Births
from exporter.board import Board
from exporter.config import Settings
from exporter.events import decode
from exporter.exposition import wants_gzip, wants_openmetrics
from exporter.interfaces import BrokerFacts, BrokerReading, QueueState

DECLARED = {"X-Prometheus-Scrape-Timeout-Seconds": "10", "User-Agent": "Prometheus/3.0"}
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


@pytest.fixture
def app() -> Iterator[App]:
    """An exporter that listens, and counts what the test gives it."""
    made = App(Settings(broker_url="redis://127.0.0.1:1/0", host="127.0.0.1", port=0))
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.stop()


def get(app: App, path: str = "/metrics", **headers: str) -> tuple[int, dict[str, str], bytes]:
    with closing(HTTPConnection("127.0.0.1", app.server.server_port, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def hear(app: App, node: str = "one@host", **event: Any) -> None:
    body = json.dumps({"hostname": node, "timestamp": 1.0, "pid": 1, "clock": 1, **event}).encode()
    app.tracker.count(node, decode(body, {}), 1.0, 1.0)


def value(page: bytes, start: str) -> str | None:
    found = [line.rpartition(" ")[2] for line in page.decode().splitlines() if line.startswith(start)]
    return found[0] if found else None


SENT = 'celery_task_sent_total{name="a",queue_name="q"}'


def test_a_scraper_sees_every_new_counter_at_zero_first(app: App) -> None:
    get(app, **DECLARED)
    hear(app, type="task-sent", uuid="u1", name="a", queue="q")
    hear(app, type="task-failed", uuid="u1", exception="ValueError('x')")
    failed = 'celery_task_failed_total{name="a",exception="ValueError",queue_name="q"}'
    first, second = (get(app, **DECLARED)[2] for _ in range(2))
    assert (value(first, SENT), value(first, failed)) == ("0", "0")
    assert (value(second, SENT), value(second, failed)) == ("1", "1")


def test_a_person_sees_the_value_at_once(app: App) -> None:
    hear(app, type="task-sent", uuid="u1", name="a", queue="q")
    assert value(get(app)[2], SENT) == "1"


def test_a_scraper_that_comes_late_sees_no_reset() -> None:
    births = Births()
    first, _ = births.next()
    assert births.scraped_by("a", 0, declared=True) < first
    assert births.scraped_by("a", 15, declared=True) >= first
    # Another one, or the same after a restart under a new address: what has been seen at 0 keeps its value.
    assert births.scraped_by("b", 20, declared=True) >= first
    second, _ = births.next()
    assert births.scraped_by("b", 35, declared=True) < second
    assert births.scraped_by("a", 36, declared=True) < second
    assert births.scraped_by("a", 51, declared=True) >= second


def test_whoever_asks_again_and_again_is_a_scraper() -> None:
    births = Births()
    first, _ = births.next()
    assert [births.scraped_by("a", now, declared=False) >= first for now in (0, 1, 2)] == [True] * 3
    births.next()
    second = births.last
    assert births.scraped_by("a", 3, declared=False) < second
    assert births.scraped_by("a", 4, declared=False) >= second


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_the_page_is_valid_in_both_formats(app: App, accept: str) -> None:
    hear(app, type="task-sent", uuid="u1", name='quote " slash \\ line\nend', queue="q\0")
    hear(app, type="worker-online", freq=2.0, processed=1)
    app.board.read_succeeded(BrokerReading({"q": QueueState(ready=3, oldest_age=1.0)}, BrokerFacts("redis", "7")))
    status, headers, page = get(app, Accept=accept)
    assert status == 200
    if accept:
        assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        families = {f.name: f for f in parse_openmetrics(page.decode())}
        created = [s for s in families["celery_task_sent"].samples if s.name.endswith("_created")]
        assert len(created) == 1
        assert created[0].value > 1_700_000_000
    else:
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = {f.name: f for f in parse_text(page.decode())}
    assert families["celery_task_runtime"].type == "histogram"
    assert {s.value for s in families["celery_queue_length"].samples} == {3}


def test_the_page_comes_compressed_to_those_who_take_it(app: App) -> None:
    _, headers, page = get(app, **{"Accept-Encoding": "gzip, deflate"})
    assert headers["Content-Encoding"] == "gzip"
    assert b"celery_broker_up 0\n" in gzip.decompress(page)
    assert "Content-Encoding" not in get(app, **{"Accept-Encoding": "identity"})[1]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        (OPENMETRICS, True),
        ("application/openmetrics-text;q=0.2,text/plain;q=0.9", False),
        ("application/openmetrics-text;q=nonsense", False),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily,text/plain;q=0.3", False),
    ],
)
def test_the_format_is_the_one_that_is_preferred(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted


def test_compression_can_be_refused() -> None:
    assert wants_gzip("br, gzip")
    assert not wants_gzip("gzip;q=0, br")
    assert not wants_gzip("")


def test_without_a_broker_it_answers_and_shows_no_queue(app: App) -> None:
    app.board.add_queue("q")
    status, _, page = get(app)
    assert status == 200
    assert value(page, "celery_broker_up") == "0"
    assert value(page, "celery_queue_length{") is None
    assert value(page, "celery_active_worker_count{") is None
    assert get(app, "/health")[0] == 503
    assert get(app, "/live")[0] == 200
    assert get(app, "/nothing")[0] == 404
    assert b"/metrics" in get(app, "/")[2]


def test_a_reading_that_is_too_old_is_not_shown() -> None:
    board = Board(("q",), max_age=0.0, max_queues=10)
    board.read_succeeded(BrokerReading({"q": QueueState(ready=3)}, BrokerFacts()))
    assert board.reading is None


def test_a_queue_that_may_have_a_reader_is_not_called_unread(app: App) -> None:
    hear(app, type="worker-online", freq=2.0, processed=0)
    app.board.read_succeeded(BrokerReading({"q": QueueState(ready=0)}, BrokerFacts()))
    assert value(get(app)[2], "celery_active_worker_count{") is None
    app.workers.get("one@host").queues = ("other",)
    assert value(get(app)[2], 'celery_active_worker_count{queue_name="q"}') == "0"


def test_metric_prefix_and_static_labels_are_on_everything() -> None:
    app = App(
        Settings(
            broker_url="redis://127.0.0.1:1/0",
            host="127.0.0.1",
            port=0,
            metric_prefix="my_",
            static_labels={"site": 'a"b'},
        )
    )
    try:
        hear(app, type="task-sent", uuid="u1", name="a", queue="q")
        page = app.report.render(openmetrics=False, scraper="", declared=False).decode()
    finally:
        app.stop()
    names = {metric.name for metric in catalogue.PROCESS}
    for family in parse_text(page):
        for sample in family.samples:
            if sample.name not in names:
                assert sample.name.startswith("my_")
                assert sample.labels["site"] == 'a"b'
