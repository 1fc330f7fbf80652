"""Makes a container's view of the world true on this machine: its paths, its ports, its neighbours' names.

A text (an argument, a value, a line of configuration) is read once from left to right. In it
- a path at or below a mount becomes the path of what is mounted there,
- `service:port` becomes the address at which that service listens here,
- the service's own port becomes the one that this copy was given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.compose_model import Service

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Translator:
    """The translation for one copy of a service.

    `paths`: container path -> path here. `ports`: this copy's container port -> port here.
    `neighbours`: (service, container port) -> port here.
    """

    paths: Mapping[str, str]
    ports: Mapping[int, int]
    neighbours: Mapping[tuple[str, int], int]
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        groups = {
            "path": [re.escape(path) for path in sorted(self.paths, key=len, reverse=True)],
            "neighbour": [f"{re.escape(name)}:{port}" for name, port in self.neighbours],
            "own": [str(port) for port in self.ports],
        }
        # What stands before and after decides whether a match is a whole path, a whole name, a whole number.
        bounds = {
            "path": (r"(?<![\w./-])", r"(?![\w.-])"),
            "neighbour": (r"(?<![\w.-])", r"(?!\d)"),
            "own": (r"(?<![\w.])", r"(?![\w.])"),
        }
        parts = [
            f"{bounds[kind][0]}(?P<{kind}>{'|'.join(alternatives)}){bounds[kind][1]}"
            for kind, alternatives in groups.items()
            if alternatives
        ]
        object.__setattr__(self, "_pattern", re.compile("|".join(parts) or r"(?!)"))

    def text(self, text: str) -> str:
        """The text as it must read here."""
        return self._pattern.sub(self._replace, text)

    def value(self, name: str, value: str) -> str:
        """An environment variable's value. A bare number is a port only where the variable's name says so."""
        if value.isdigit() and not name.endswith("PORT"):
            return value
        return self.text(value)

    def _replace(self, match: re.Match[str]) -> str:
        found = match.group()
        if match.lastgroup == "path":
            return self.paths[found]
        if match.lastgroup == "own":
            return str(self.ports[int(found)])
        name, _, port = found.rpartition(":")
        return f"{LOOPBACK}:{self.neighbours[name, int(port)]}"


def neighbours(services: Mapping[str, Service], ports: Mapping[str, Mapping[int, int]]) -> dict[tuple[str, int], int]:
    """The addresses of all services, from the ports that their first copies have (service -> container port -> here).

    A service that does not run keeps its published port, so that who calls it is refused as in a container.
    """
    found: dict[tuple[str, int], int] = {}
    for name, service in services.items():
        for port in service.ports:
            here = ports.get(name, {}).get(port.container, port.published)
            if here:
                found[name, port.container] = here
    return found
