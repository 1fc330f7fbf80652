"""What the exporter must count of the script in fleet.py, whatever Celery line ran it.

By task: the samples of its series that are not zero, with the labels beside ``name`` and ``queue_name``.
"""

from __future__ import annotations

Labels = tuple[tuple[str, str], ...]
Counts = dict[tuple[str, Labels], float]


def _counts(**values: float) -> Counts:
    """``task_sent=2`` is celery_task_sent_total; ``failed__exception__KeyError=1`` has a label."""
    found: Counts = {}
    for text, value in values.items():
        name, *label = text.split("__")
        found[f"celery_task_{name}_total", ((label[0], label[1]),) if label else ()] = value
    return found


def _once(**values: float) -> Counts:
    """A task that was sent, received and begun once, and then ``values``."""
    return _counts(sent=1, received=1, started=1, attempts__kind__first=1, **values)


EXPECTED: dict[str, Counts] = {
    "fleet.succeeds": _counts(
        sent=5, received=5, started=5, attempts__kind__first=5, succeeded=5, finished__outcome__succeeded=5
    ),
    "fleet.fails": _counts(
        sent=3,
        received=3,
        started=3,
        attempts__kind__first=3,
        failed__exception__LookupError=3,
        failures=3,
        finished__outcome__failed=3,
    ),
    # Two tasks of three attempts: two tries again each, and every try is sent and received anew.
    "fleet.retries": _counts(
        sent=6,
        received=6,
        started=6,
        attempts__kind__first=2,
        attempts__kind__retry=4,
        retried=4,
        retries__exception__ConnectionError=4,
        succeeded=2,
        finished__outcome__succeeded=2,
    ),
    "fleet.takes_too_long": _once(failed__exception__TimeLimitExceeded=1, failures=1, finished__outcome__failed=1),
    "fleet.kills_its_process": _once(failed__exception__WorkerLostError=1, failures=1, finished__outcome__failed=1),
    "fleet.is_requeued": _counts(
        sent=1,
        received=2,
        started=2,
        attempts__kind__first=1,
        attempts__kind__redelivered=1,
        rejected=1,
        rejections__requeue__true=1,
        succeeded=1,
        finished__outcome__succeeded=1,
    ),
    "fleet.is_rejected": _once(rejected=1, rejections__requeue__false=1, finished__outcome__rejected=1),
    # A worker finds that a task has expired, or was revoked, before it says that it received it.
    "fleet.expires": _counts(sent=2, revoked=2, revocations__reason__expired=2, finished__outcome__revoked=2),
    "fleet.is_revoked": _counts(sent=1, revoked=1, revocations__reason__revoked=1, finished__outcome__revoked=1),
    "fleet.is_terminated": _once(revoked=1, revocations__reason__terminated=1, finished__outcome__revoked=1),
}
