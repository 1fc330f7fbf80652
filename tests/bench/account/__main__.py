"""Counts orders through the death of pool processes, of workers and of Redis: `make bench`.

A small stack of its own (Redis and the two workers) works through orders that are published all the while. A pool
process is killed, then a whole worker, then Redis is restarted and then killed; each comes back. In the end every
order must have run through all its steps, or have been refused by the sample's own card check. Printed: published,
finished, declined, run twice, lost. Exit status 1 when an order is lost; 2 for a setting that cannot be used.

Redis keeps the queue in its append-only file, written before it answers: a killed process loses nothing, a machine
that loses its power may lose the last second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.errors import HarnessError
from harness.stack import Stack
from harness.wait import DeadlineError, Pending, until
from harness.ways import CHOICES
from tests.bench.account.books import Books
from tests.bench.account.publisher import Publisher

SERVICES = ("redis", "worker", "worker-emails")
#: A message that its worker took to the grave comes back after the visibility timeout; the shipped one is minutes.
SETTINGS = {"VISIBILITY_TIMEOUT_SECONDS": "20", "FOLLOW_UP_SECONDS": "2"}
CALM_SECONDS = 4.0


def main() -> int:
    """Run the account and print it."""
    options = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    options.add_argument("--way", default="", choices=["", *CHOICES], help="how the stack runs; left out: what can be")
    options.add_argument("--rate", type=float, default=10.0, help="orders a second (10)")
    options.add_argument("--drain", type=float, default=240.0, help="seconds that the end is waited for (240)")
    given = options.parse_args()
    if given.rate <= 0:
        options.error(f"--rate {given.rate:g}: orders a second, more than 0")
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack.for_tests(
            given.way,
            name="account",
            services=SERVICES,
            overrides={**SETTINGS, "SECRETS_DIR": str(Path(folder) / "secrets")},
            say=lambda line: print(line, flush=True),
        )
        try:
            stack.start()
            return account(stack, given.rate, given.drain)
        except HarnessError as error:
            print(f"bench: {error}", file=sys.stderr)
            return error.exit_status
        finally:
            stack.down(volumes=True)


def account(stack: Stack, rate: float, drain: float) -> int:
    """Publish and break, wait for the end, and print what became of the orders."""
    publisher = Publisher(stack.broker_url(0), stack.broker_url(1), rate)
    books = Books(stack, publisher)
    with publisher:
        for what, break_it in disasters(stack):
            calm(publisher)
            print(f"{what} after {len(publisher.published)} orders", flush=True)
            break_it()
        calm(publisher)

    def settled() -> bool | Pending:
        open_orders = books.open()
        return not open_orders or Pending(f"{len(open_orders)} orders without an end")

    try:
        until(settled, "every order to come to an end", drain, 2.0)
    except DeadlineError as late:
        print(late, file=sys.stderr)
    entry = books.balance()
    print(entry.text())
    return 1 if entry.lost else 0


def disasters(stack: Stack) -> list[tuple[str, Callable[[], object]]]:
    """What is broken, in order; each is whole again when its function returns."""

    def kill_worker() -> None:
        stack.kill("worker")
        stack.start_service("worker")

    def kill_redis() -> None:
        stack.kill("redis")
        stack.start_service("redis")

    return [
        ("SIGKILL to a pool process", lambda: stack.kill_child("worker")),
        ("SIGKILL to a whole worker", kill_worker),
        ("restart of Redis", lambda: stack.restart("redis")),
        ("SIGKILL to Redis", kill_redis),
        ("SIGKILL to the last pool process", lambda: stack.kill_child("worker", index=-1)),
    ]


def calm(publisher: Publisher) -> None:
    """Let the stack work until some more orders are published, so that each disaster meets work under way."""
    wanted = len(publisher.published) + max(1, int(publisher.rate * CALM_SECONDS))
    until(lambda: len(publisher.published) >= wanted, f"{wanted} orders to be published", 120)


if __name__ == "__main__":
    sys.exit(main())
