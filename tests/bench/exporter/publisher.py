"""Publishes a fleet's events to Redis, as a program of its own so that its processor time is nobody else's.

Usage: ``python -m tests.bench.exporter.publisher PORT EVENTS [--rate EVENTS_PER_SECOND] [--no-sent] [--first N]
[--names N] [--queues N] [--workers N] [--linger SECONDS]``. With ``--linger`` the workers' heartbeats go on for that
long after the last event. At the end, or at SIGTERM, it prints what it published as JSON: counts by
event type, and the seconds that it took.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import time

from tests.bench.exporter.stream import HEARTBEAT_SECONDS, Stream, paced


class Stopped(Exception):  # noqa: N818 - it is no error
    """Told to stop."""


def main() -> None:
    """Publish as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("events", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--no-sent", action="store_true")
    for name, default in (("first", 0), ("names", 5), ("queues", 4), ("workers", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--linger", type=float, default=0)
    options = parser.parse_args()
    stream = Stream(
        workers=options.workers,
        names=options.names,
        queues=options.queues,
        sent=not options.no_sent,
        first=options.first,
    )
    signal.signal(signal.SIGTERM, _stop)
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", options.port), timeout=60) as broker:
        broker.sendall(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n")
        try:
            for chunk in paced(stream, events=options.events, rate=options.rate):
                broker.sendall(chunk)
            _linger(broker, stream, options.linger)
        except Stopped:
            pass
        else:
            # An answer to this one says that Redis has carried out all the others.
            broker.sendall(b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n")
            broker.recv(64)
    print(json.dumps({"counts": stream.counts, "seconds": time.monotonic() - begun}), flush=True)


def _linger(broker: socket.socket, stream: Stream, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(HEARTBEAT_SECONDS, seconds))
        broker.sendall(stream.heartbeats())


def _stop(_number: int, _frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    main()
