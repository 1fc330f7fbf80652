"""What several commands need."""

from __future__ import annotations

import sys

from harness import settings
from harness.errors import HarnessError
from harness.stack import Stack


def say(line: str) -> None:
    """Progress: a line at once, on standard output."""
    print(line, flush=True)


def warn(line: str) -> None:
    """What a person should know and a script should not read."""
    print(line, file=sys.stderr, flush=True)


def variable(name: str, default: str = "") -> str:
    """A setting of this call: from the environment, where make puts what stands on its command line, or .env."""
    return settings.load().get(name, default).strip()


def running() -> Stack:
    """The stack of this checkout, as it was started. Raises HarnessError where there is none."""
    stack = Stack.attach()
    if stack is None:
        name = variable("COMPOSE_PROJECT_NAME", "celery-stack")
        raise HarnessError(f"no stack named {name} was started from this checkout; start it with: make up")
    return stack
