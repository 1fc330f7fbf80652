"""The class of the exception that ended a task, from the text that Celery puts into the event."""

from __future__ import annotations

import re

UNKNOWN = "UnknownException"
"""What the label says when neither the exception's text nor its traceback names a class."""

WORKER_LOST = "WorkerLostError"
"""The class that stands for a pool process which died under its task."""

# What Celery sends in place of the exception when the pool process died or was killed by the hard time limit.
_WRAPPER = "ExceptionWithTraceback"
_REPR = re.compile(r"([A-Za-z_]\w{0,99}(?:\.[A-Za-z_]\w{0,99}){0,9})\(")
_LINE = re.compile(r"([A-Za-z_]\w{0,99}(?:\.[A-Za-z_]\w{0,99}){0,9})(?::|$)")
_MAX_TRACEBACK = 100_000


# How celery.exceptions.Reject shows itself.
_REJECT = "reject requeue="


def rejects_itself(exception: str | None) -> bool:
    """Whether ``exception`` is a task's wish to be rejected.

    Celery 5.7 announces such a task twice, as failed and as rejected; the lines before only as rejected.
    """
    return exception is not None and exception.startswith(_REJECT)


def exception_class(exception: str | None, traceback: str | None) -> str:
    """Return the bare class name: of ``exception`` (a ``repr``) or, where that hides it, of the ``traceback``."""
    if exception:
        found = _REPR.match(exception)
        if found:
            name = found[1].rpartition(".")[2]
            if name != _WRAPPER:
                return name
    return _from_traceback(traceback or "") or UNKNOWN


def _from_traceback(text: str) -> str | None:
    """The error line is the first without indentation after the last frame; messages may go on for lines after it."""
    lines = text[-_MAX_TRACEBACK:].splitlines()
    frames = [i for i, line in enumerate(lines) if line.startswith(("  File ", "Traceback "))]
    start = frames[-1] + 1 if frames else 0
    for line in lines[start:]:
        if line.startswith((" ", "\t")):
            continue
        found = _LINE.match(line.strip().strip('"').strip())
        if found:
            return found[1].rpartition(".")[2]
    return None
