"""Free ports on loopback, and whose port it is when one is taken."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping

from harness.compose_model import Service
from harness.errors import BadInputError

# Below the range from which systems take the near end of outgoing connections: a port that is free now
# is not handed to such a connection a moment later.
_RANGE = range(20000, 32000)
_TRIES = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count: int, taken: Iterable[int] = ()) -> list[int]:
    """`count` different ports that are free now and are not in `taken`."""
    avoid = set(taken)
    found: list[int] = []
    for _ in range(_TRIES * max(count, 1)):
        if len(found) == count:
            return found
        port = random.choice(_RANGE)  # noqa: S311 - chance keeps neighbours apart, nothing secret
        if port not in avoid and is_free(port):
            avoid.add(port)
            found.append(port)
    raise BadInputError(f"no {count} free ports from {_RANGE.start} to {_RANGE.stop} on 127.0.0.1")


def published(services: Mapping[str, Service]) -> dict[str, int]:
    """The settings that place the services' ports on the host, with their values."""
    return {
        port.variable: port.published
        for service in services.values()
        for port in service.ports
        if port.published and port.variable
    }


def require_free(services: Iterable[Service]) -> None:
    """Raise BadInputError naming every port that is taken and the setting that moves it."""
    taken = []
    for service in services:
        for port in service.ports:
            if port.published and not is_free(port.published):
                way_out = f"; set {port.variable} to another port" if port.variable else ""
                taken.append(f"port {port.published} for {service.name} is in use{way_out}")
    if taken:
        raise BadInputError("\n".join(taken))
