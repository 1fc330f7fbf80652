"""Log lines: JSON with what leads to the task, and without what nobody should read."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.trace import LOG_SUCCESS
from celery.worker.consumer.consumer import INVALID_TASK_ERROR, UNKNOWN_TASK_ERROR

from workers import json_logs
from workers.json_logs import HumanFormatter, JsonFormatter, WithoutTaskData, set_up
from workers.settings import SettingsError

SECRET = "s3cret-argument"


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("logs", broker="memory://", backend="cache+memory://", set_as_current=False)
    yield app
    app.close()


def record(message: str, *args: Any, name: str = "shop", **more: Any) -> logging.LogRecord:
    return logging.LogRecord(name, logging.INFO, __file__, 1, message, args, more.get("exc_info"))


def test_a_line_is_one_json_object() -> None:
    line = JsonFormatter().format(record("two\nlines of %s", "text"))
    assert "\n" not in line
    parsed = json.loads(line)
    assert parsed["message"] == "two\nlines of text"
    assert (parsed["level"], parsed["logger"]) == ("info", "shop")
    assert parsed["time"].endswith("+00:00")


def test_a_line_within_a_task_leads_to_it(app: Celery) -> None:
    lines: list[str] = []

    @app.task(name="work", bind=True)
    def work(self: Any) -> None:
        lines.append(JsonFormatter().format(record("at work")))
        lines.append(HumanFormatter("%(message)s").format(record("at work")))

    work.apply(task_id="t-1", retries=2)
    parsed = json.loads(lines[0])
    assert (parsed["task_id"], parsed["task_name"], parsed["retry"]) == ("t-1", "work", 2)
    assert lines[1] == "at work  [task_id=t-1 retry=2]"


def test_an_exception_is_in_its_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        parsed = json.loads(JsonFormatter().format(record("failed", exc_info=sys.exc_info())))
    assert parsed["exception"] == "ValueError"
    assert "Traceback" in parsed["stack"]


@pytest.mark.parametrize("formatter", [JsonFormatter(), HumanFormatter("%(message)s")])
def test_no_line_holds_a_password(formatter: logging.Formatter) -> None:
    line = formatter.format(record("lost %s and %s", "redis://:hush@redis:6379/0", "amqp://me:hush@rabbit//"))
    assert "hush" not in line
    assert "redis://:***@redis:6379/0" in line
    assert "amqp://me:***@rabbit//" in line


@pytest.mark.parametrize(
    ("logger", "message", "args"),
    [
        (
            "celery.app.trace",
            LOG_SUCCESS,
            ({"name": "n", "id": "i", "runtime": 1.0, "return_value": SECRET, "args": SECRET},),
        ),
        ("celery.worker.consumer.consumer", UNKNOWN_TASK_ERROR, (KeyError("t"), SECRET, {"argsrepr": SECRET}, {})),
        ("celery.worker.consumer.consumer", INVALID_TASK_ERROR, (ValueError("t"), SECRET)),
    ],
)
def test_celerys_own_lines_lose_arguments_and_results(logger: str, message: str, args: tuple[Any, ...]) -> None:
    found = record(message, *args, name=logger)
    assert SECRET in found.getMessage(), "nothing to take out: the test proves nothing"
    assert WithoutTaskData().filter(found)
    assert SECRET not in JsonFormatter().format(found)
    assert found.getMessage()


def test_a_terminal_gets_the_human_format_and_a_pipe_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOG_FORMAT", raising=False)
    for terminal, kind in ((True, HumanFormatter), (False, JsonFormatter)):
        monkeypatch.setattr(json_logs.sys, "stderr", type("Stream", (), {"isatty": lambda _, t=terminal: t})())
        handler = logging.StreamHandler()
        set_up([handler])
        assert isinstance(handler.formatter, kind)
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(SettingsError, match="LOG_FORMAT"):
        set_up([logging.StreamHandler()])


def test_task_data_can_be_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.StreamHandler()
    monkeypatch.setenv("LOG_TASK_DATA", "on")
    set_up([handler])
    assert not handler.filters
    monkeypatch.setenv("LOG_TASK_DATA", "off")
    set_up([handler])
    set_up([handler])
    assert len(handler.filters) == 1
