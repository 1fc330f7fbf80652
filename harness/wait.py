"""The two ways to wait: until something is so, and that something stays so.

Both look at once, look again after a short pause, use a clock that nobody can set, and say in their
error what was seen last. Nothing else in the harness or in the tests pauses for a time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# What a check may raise while the thing that it looks at is not there yet: a refused connection is an OSError
# (and so is every error of requests), an assertion is a condition put in words. Anything else is a mistake in
# the check and ends the wait at once.
UNREADY: tuple[type[Exception], ...] = (AssertionError, OSError)

_SHOWN = 2000  # characters of a value that an error shows


@dataclass(frozen=True)
class Pending:
    """A falsy answer of a check that says why it is not yet so."""

    reason: str

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return self.reason


class DeadlineError(AssertionError):
    """The condition did not come about in time."""


class BrokenError(AssertionError):
    """The condition held at first, or not at all, and then did not."""


class GivenUpError(AssertionError):
    """Nobody waits for the outcome any more."""


_given_up = threading.Event()


@contextlib.contextmanager
def giving_up() -> Iterator[None]:
    """For the time of the block every wait of this program, in whatever thread, ends with GivenUpError.

    For whoever was interrupted and has to collect the threads that wait on its behalf.
    """
    _given_up.set()
    try:
        yield
    finally:
        _given_up.clear()


def until(
    check: Callable[[], T | Pending],
    description: str,
    timeout: float = 60.0,
    interval: float = 0.25,
    unready: tuple[type[Exception], ...] = UNREADY,
) -> T:
    """Call `check` until it answers something true, and return that answer.

    `description` completes the sentence "waited in vain for ...". `timeout` and `interval` are seconds.
    Exceptions of the kinds in `unready` count as "not yet"; others pass through.
    Raises DeadlineError with the last answer or the last reason once `timeout` is over. The check is
    called at least once, and once more at the deadline, so that a slow machine does not miss the last moment.
    """
    started = time.monotonic()
    attempts = 0
    while True:
        left = timeout - (time.monotonic() - started)
        attempts += 1
        answer, seen = _look(check, unready)
        if answer is not None:
            return answer
        if left <= 0:
            elapsed = time.monotonic() - started
            raise DeadlineError(
                f"waited in vain for {description}: {elapsed:.1f} s, {attempts} looks; last seen: {seen}"
            )
        _pause(min(interval, max(left, 0.0)), description)


def holds(
    check: Callable[[], object],
    description: str,
    seconds: float,
    interval: float = 0.25,
) -> None:
    """Call `check` for `seconds` and insist that every answer is true.

    Raises BrokenError at the first answer that is not, with that answer and when it came. An exception of
    the check passes through: a condition that cannot be looked at has not been shown to hold.
    """
    started = time.monotonic()
    while True:
        left = seconds - (time.monotonic() - started)
        answer = check()
        if not answer:
            elapsed = time.monotonic() - started
            raise BrokenError(f"{description} did not hold: after {elapsed:.1f} of {seconds:g} s saw {_show(answer)}")
        if left <= 0:
            return
        _pause(min(interval, max(left, 0.0)), description)


def _pause(seconds: float, description: str) -> None:
    if _given_up.wait(seconds):
        raise GivenUpError(f"gave up waiting for {description}")


def _look(check: Callable[[], T | Pending], unready: tuple[type[Exception], ...]) -> tuple[T | None, str]:
    """One look: the answer where it is true, and words for what was seen."""
    try:
        answer = check()
    except unready as error:
        return None, f"{type(error).__name__}: {error}"[:_SHOWN]
    if isinstance(answer, Pending) or not answer:
        return None, _show(answer)
    return answer, ""


def _show(value: object) -> str:
    text = value.reason if isinstance(value, Pending) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
