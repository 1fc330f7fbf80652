"""Metrics and health of any Celery application, in two lines::

    from workers.instrumentation import instrument
    instrument(app)

Import it before anything that defines Prometheus metrics of its own: in a worker or beat the import chooses the
folder in which the node's processes share their metrics, and a metric made before that stays in its process. In
every other process importing costs nothing, and ``instrument`` does no more than stamp the messages published.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from workers.instrumentation import directory
from workers.instrumentation.stamp import stamp
from workers.settings import SettingsError, refuse

__all__ = ["instrument", "stamp"]

if directory.is_celery_program(sys.argv):
    try:
        directory.claim()
    except SettingsError as error:
        refuse(error)


def instrument(app: Any, buckets: str | Path | None = None) -> None:
    """Have the workers and beat of ``app`` serve metrics and health, and stamp every message.

    ``buckets`` is a TOML file with bucket bounds by queue, in place of METRICS_BUCKETS_FILE. The port and address are
    METRICS_PORT (8000; ``off`` for none) and METRICS_HOST (127.0.0.1). A setting that cannot be used ends the worker
    with one line and status 2.
    """
    stamp(app)
    from workers.instrumentation.hooks import connect  # noqa: PLC0415 - a producer's import stays light

    connect(app, None if buckets is None else Path(buckets))
