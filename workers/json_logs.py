"""Log lines of a Celery process, as JSON or for a person, that lead to the task and its trace::

    from workers.json_logs import log_json
    log_json(app)

A JSON line has time, level, logger and message, and within a task its id, name, queue and retry, and the trace and
span id where there is one. LOG_FORMAT is ``json`` or ``human``; where it is not set, a terminal gets the human
format. No line holds a task's arguments or result unless LOG_TASK_DATA is ``on``, and none a password in an address.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from celery import signals
from celery._state import get_current_task

from workers.settings import SettingsError, choice, refuse
from workers.telemetry import current_ids

FORMAT, TASK_DATA = "LOG_FORMAT", "LOG_TASK_DATA"
HUMAN = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
NAME = "workers.json_logs"
PASSWORD = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+@")
#: What Celery's templates call the parts that hold a task's arguments or result.
RESULT_FIELD = "%(return_value)s"
BODY_WORDS = ("contents of the message body", "decode message body", "body: ")


class WithoutTaskData(logging.Filter):
    """Takes a task's arguments and result out of Celery's own lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; every record passes."""
        if not isinstance(record.msg, str) or not record.name.startswith("celery."):
            return True
        if RESULT_FIELD in record.msg:
            record.msg = record.msg.replace(f": {RESULT_FIELD}", "").replace(RESULT_FIELD, "")
        elif any(word in record.msg for word in BODY_WORDS):
            record.msg, record.args = f"{record.msg.splitlines()[0].partition('%')[0].strip()} (not logged)", ()
            record.exc_info = record.exc_text = None
        return True


def log_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The task that a record is about: the running one, or in the parent the one that Celery names."""
    fields: dict[str, Any] = {}
    task = get_current_task()
    if task is not None and task.request.id:
        request = task.request
        fields["task_id"], fields["task_name"] = request.id, task.name
        fields["queue"] = (request.delivery_info or {}).get("routing_key")
        fields["retry"] = request.retries or 0
    elif isinstance(record.args, Mapping) and "id" in record.args and "name" in record.args:
        fields["task_id"], fields["task_name"] = record.args["id"], record.args["name"]
    ids = current_ids()
    if ids is not None:
        fields["trace_id"], fields["span_id"] = ids
    return fields


class JsonFormatter(logging.Formatter):
    """One JSON object for each record, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _redact(record.getMessage()),
            "process": record.processName,
            **log_fields(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["stack"] = _redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


class HumanFormatter(logging.Formatter):
    """A line for a terminal, with the task and the trace at its end."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = log_fields(record)
        text = _redact(super().format(record))
        where = " ".join(
            f"{name}={fields[name]}"
            for name in ("task_id", "retry", "trace_id")
            if fields.get(name) and str(fields[name]) not in text
        )
        return f"{text}  [{where}]" if where else text


def _redact(text: str) -> str:
    return PASSWORD.sub(r"\1:***@", text) if "://" in text else text


def wanted_format() -> str:
    """``json`` or ``human``; SettingsError for anything else."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return choice(os.environ, FORMAT, "human" if terminal else "json", ("json", "human"))


def set_up(handlers: list[logging.Handler]) -> None:
    """Give ``handlers`` the format that the environment asks for; SettingsError for one that there is not."""
    wanted = wanted_format()
    data = choice(os.environ, TASK_DATA, "off", ("on", "off"))
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if wanted == "json" else HumanFormatter(HUMAN))
        if data == "off" and not any(isinstance(known, WithoutTaskData) for known in handler.filters):
            handler.addFilter(WithoutTaskData())


def log_json(app: Any = None) -> None:
    """Have every Celery process of this application log in the format that LOG_FORMAT asks for.

    A setting that cannot be used ends the process with one line and status 2.
    """
    del app  # Celery's logging is the process's; taken so that the line reads as the others do

    def on_logger(logger: logging.Logger | None = None, **_: Any) -> None:
        try:
            set_up(list((logger or logging.getLogger()).handlers))
        except SettingsError as error:
            refuse(error)

    def on_init(instance: Any = None, **_: Any) -> None:
        # Celery prints its banner past the logger: several lines that are not JSON.
        with contextlib.suppress(SettingsError):  # told when the logger is set up
            instance.quiet = instance.quiet or wanted_format() == "json"

    signals.celeryd_init.connect(on_init, weak=False, dispatch_uid=f"{NAME}.init")
    signals.after_setup_logger.connect(on_logger, weak=False, dispatch_uid=f"{NAME}.root")
    signals.after_setup_task_logger.connect(on_logger, weak=False, dispatch_uid=f"{NAME}.task")
