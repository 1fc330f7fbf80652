"""The least that any reader of Celery's events does: read the channel, decode, count by type.

This is the yardstick of the benchmark, a program of its own: it keeps no task, no label and no histogram, and
reconnects to nothing. Usage: ``python -m tests.bench.exporter.bare_loop PORT``; at SIGTERM it prints how many events
of each type it saw, as JSON.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from binascii import a2b_base64

import hiredis
import msgspec


class Envelope(msgspec.Struct):
    """The one field of kombu's envelope that matters."""

    body: str


class Event(msgspec.Struct):
    """The one field of an event that is counted."""

    type: str


def main() -> None:
    """Count until told to stop."""
    counts: dict[str, int] = {}
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    envelope = msgspec.json.Decoder(Envelope).decode
    events = msgspec.json.Decoder(Event | list[Event]).decode
    reader = hiredis.Reader()
    # The timeout only lets the program see that it is told to stop.
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=1) as broker:
        broker.sendall(b"*2\r\n$10\r\nPSUBSCRIBE\r\n$13\r\n/0.celeryev/*\r\n")
        reader.feed(broker.recv(65536))
        print("subscribed", flush=True)
        while not stopping:
            try:
                data = broker.recv(262144)
            except TimeoutError:
                continue
            if not data:
                break
            reader.feed(data)
            while (message := reader.gets()) is not False:
                if len(message) == 4:
                    decoded = events(a2b_base64(envelope(message[3]).body))
                    for event in decoded if type(decoded) is list else (decoded,):
                        counts[event.type] = counts.get(event.type, 0) + 1
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
