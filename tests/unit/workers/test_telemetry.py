"""Telemetry: nothing where it is off, links where they are asked for, an error where publishing failed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from nodes import HERE, environment, worker
from otlp_receiver import Receiver, receiver

from harness.wait import Pending, until

DEADLINE = 90


@pytest.fixture
def otlp() -> Iterator[Receiver]:
    with receiver() as server:
        yield server


def run(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=HERE,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_an_endpoint_nothing_is_imported_or_connected() -> None:
    code = """
    import sys
    from celery import signals
    before = [len(s.receivers) for s in (signals.task_prerun, signals.before_task_publish)]
    import workers.telemetry
    from celery import Celery
    app = Celery("off", broker="memory://")
    workers.telemetry.trace(app)
    with workers.telemetry.span("x"):
        assert workers.telemetry.current_ids() is None
    assert [len(s.receivers) for s in (signals.task_prerun, signals.before_task_publish)] == before
    assert app.amqp_cls == "celery.app.amqp:AMQP"
    print(sorted(m for m in sys.modules if m.startswith("opentelemetry")))
    """
    assert run(code) == "[]"


def test_a_publication_that_fails_is_a_span_that_failed(otlp: Receiver) -> None:
    code = """
    from celery import Celery
    from workers.telemetry import trace
    app = Celery("web", broker="redis://127.0.0.1:1/0")
    trace(app)
    app.conf.task_publish_retry = False
    try:
        app.send_task("orders.accept", retry=False)
    except Exception as error:
        print(type(error).__name__)
    """
    assert run(code, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url) == "OperationalError"
    (span,) = otlp.spans()
    assert (span.name, span.kind, span.failed, span.parent) == ("apply_async/orders.accept", "PRODUCER", True, "")


def test_an_application_whose_amqp_is_there_already_is_traced_too(otlp: Receiver) -> None:
    code = """
    from celery import Celery
    from workers.telemetry import trace
    app = Celery("web", broker="memory://")
    app.amqp
    trace(app)
    app.send_task("a")
    """
    run(code, OTEL_EXPORTER_OTLP_ENDPOINT=otlp.url)
    assert [span.name for span in otlp.spans()] == ["apply_async/a"]


def test_eta_starts_a_linked_trace_and_retries_stay_in_it(
    redis: Any, producer: Celery, otlp: Receiver, tmp_path: Path
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url, "OTEL_BSP_SCHEDULE_DELAY": "200", "CELERY_TRACE_LINKS": "eta"}
    code = """
    import sys
    sys.argv = ["web"]
    from shop import flaky, add
    from workers.telemetry import span
    with span("request"):
        flaky.apply_async((1,), countdown=0.5)
        add.apply_async((1, 2))
    """
    with worker(redis, tmp_path, "-c", "1", "-Q", "default", **env):
        run(code, BROKER_URL=redis.url, RESULT_BACKEND_URL=producer.conf.result_backend, **env)

        def arrived() -> list[Any] | Pending:
            ran = [span for span in otlp.spans() if span.kind == "CONSUMER"]
            return ran if len(ran) == 3 else Pending(str([span.name for span in ran]))

        until(arrived, "two attempts and an addition", DEADLINE)
    spans = {span.id: span for span in otlp.spans()}
    request = next(span for span in spans.values() if span.name == "request")
    added = next(span for span in spans.values() if span.name == "run/shop.add")
    assert (added.trace, added.links) == (request.trace, ())
    first, second = sorted(
        (span for span in spans.values() if span.name == "run/shop.flaky"), key=lambda s: s.attributes["celery.retries"]
    )
    assert first.trace != request.trace
    assert first.parent == ""
    ((trace, publisher),) = first.links
    assert trace == request.trace
    assert spans[publisher].name == "apply_async/shop.flaky"
    assert second.trace == first.trace, "a retry has an ETA too, and stays with its first attempt"
    assert spans[second.parent].parent == first.id
