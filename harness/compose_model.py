"""Reads compose.yaml into typed services: the part of Compose's language that the stack uses.

Units: durations are seconds. Paths of bind mounts and secrets are absolute.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.errors import BadInputError
from harness.interpolate import interpolate

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_VARIABLE = re.compile(r"(?<!\$)\$\{?([A-Za-z_]\w*)")
_PORT_VARIABLE = re.compile(r"\$\{?(\w+)")


@dataclass(frozen=True)
class Port:
    """A port of a service. `published` is the host's port, None for one that only the stack's own network sees;
    `variable` is the setting that moves it, empty where the number is written out."""

    container: int
    published: int | None = None
    variable: str = ""


@dataclass(frozen=True)
class Mount:
    """Something at a path of the container. `kind`: bind (source is a path), volume (source is its name), tmpfs."""

    kind: str
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Health:
    """`test` is the argument list; `shell` says that it is one line for `sh -c`."""

    test: tuple[str, ...]
    shell: bool
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0


@dataclass(frozen=True)
class Service:
    """One service, its variables filled in."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    health: Health | None = None
    depends_on: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    profiles: tuple[str, ...] = ()
    built: bool = False
    restarts: bool = False
    stop_grace_period: float = 10.0
    native_program: tuple[str, ...] = ()
    native_render: tuple[str, ...] = ()
    native_absent: str = ""
    #: Settings that hold while the service runs, where nobody gave others.
    sets: Mapping[str, str] = field(default_factory=dict)

    def port(self, container: int | None = None) -> Port:
        """The port with this number inside the container, or the service's first one."""
        for port in self.ports:
            if container in (None, port.container):
                return port
        raise BadInputError(
            f"service {self.name} has no port {container or ''}: see ports and expose in the compose file"
        )


@dataclass(frozen=True)
class Model:
    """All services of a compose file, whatever their profile."""

    services: Mapping[str, Service]
    volumes: tuple[str, ...]

    def select(self, profiles: Iterable[str] = (), only: Iterable[str] = ()) -> dict[str, Service]:
        """The services that run: those named by `only`, else those without a profile or with one that is on.

        Raises BadInputError for a name that the file does not have.
        """
        on, wanted = set(profiles), list(only)
        known = {profile for service in self.services.values() for profile in service.profiles}
        if unknown := on - known:
            names = ", ".join(sorted(known))
            raise BadInputError(f"PROFILES={','.join(sorted(unknown))} is unknown; the profiles are {names}")
        for name in wanted:
            if name not in self.services:
                raise BadInputError(f"service {name!r} is unknown; the services are {', '.join(self.services)}")
        return {
            name: service
            for name, service in self.services.items()
            if (name in wanted if wanted else not service.profiles or on & set(service.profiles))
        }


def read(path: Path, variables: Mapping[str, str]) -> Model:
    """The model of a compose file. Raises BadInputError for a file that is missing, broken or lacks a variable."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise BadInputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("services"), dict):
        raise BadInputError(f"{path} has no services")
    raw = {key: value for key, value in raw.items() if not key.startswith("x-")}
    filled = interpolate(raw, variables)
    secrets = {name: _path(path.parent, entry["file"]) for name, entry in (filled.get("secrets") or {}).items()}
    services = {
        name: _service(
            name,
            entry=entry,
            raw=raw["services"][name],
            variables=variables,
            secrets=secrets,
            base=path.parent,
        )
        for name, entry in filled["services"].items()
    }
    return Model(services, tuple(filled.get("volumes") or ()))


def variables_of(path: Path) -> set[str]:
    """The names of the variables that a compose file reads."""
    return set(_VARIABLE.findall(path.read_text(encoding="utf-8")))


def duration(value: str | float) -> float:
    """Seconds of a duration such as `1m30s`. Raises BadInputError."""
    written = str(value)
    if not _DURATION.sub("", written) and written:
        return sum(float(amount) * _UNITS[unit] for amount, unit in _DURATION.findall(written))
    raise BadInputError(f"{written!r} is not a duration; write one such as 30s or 1m30s")


def _service(
    name: str,
    *,
    entry: dict[str, Any],
    raw: dict[str, Any],
    variables: Mapping[str, str],
    secrets: Mapping[str, Path],
    base: Path,
) -> Service:
    native = entry.get("x-native") or {}
    return Service(
        name=name,
        image=str(entry.get("image", "")),
        command=_words(entry.get("command")),
        environment=_environment(entry.get("environment"), variables),
        health=_health(entry.get("healthcheck")),
        depends_on=_depends_on(entry.get("depends_on")),
        mounts=(*_volumes(entry, base), *_tmpfs(entry), *_secrets(entry, secrets)),
        ports=(*_ports(entry, raw), *(Port(int(port)) for port in entry.get("expose") or ())),
        profiles=tuple(entry.get("profiles") or ()),
        built="build" in entry,
        restarts=str(entry.get("restart", "no")) not in ("no", "False"),
        stop_grace_period=duration(entry.get("stop_grace_period", "10s")),
        native_program=_words(native.get("program")),
        native_render=tuple(native.get("render") or ()),
        native_absent=native.get("absent", ""),
        sets={setting: str(value) for setting, value in (entry.get("x-sets") or {}).items()},
    )


def _words(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(shlex.split(value)) if isinstance(value, str) else tuple(str(word) for word in value)


def _environment(value: Any, variables: Mapping[str, str]) -> dict[str, str]:
    if isinstance(value, list):
        value = {name: rest if equals else None for name, equals, rest in (item.partition("=") for item in value)}
    result: dict[str, str] = {}
    for name, setting in (value or {}).items():
        if setting is not None:
            result[name] = str(setting).lower() if isinstance(setting, bool) else str(setting)
        elif name in variables:  # a bare name takes the caller's value, or stays unset
            result[name] = variables[name]
    return result


def _health(value: Any) -> Health | None:
    if not value or value.get("disable"):
        return None
    test = value.get("test") or []
    if isinstance(test, str):
        test = ["CMD-SHELL", test]
    if not test or test[0] == "NONE":
        return None
    return Health(
        test=tuple(str(word) for word in test[1:]),
        shell=test[0] == "CMD-SHELL",
        interval=duration(value.get("interval", "30s")),
        timeout=duration(value.get("timeout", "30s")),
        retries=int(value.get("retries", 3)),
        start_period=duration(value.get("start_period", "0s")),
    )


def _depends_on(value: Any) -> dict[str, str]:
    if isinstance(value, list):
        return dict.fromkeys(value, "service_started")
    return {name: entry.get("condition", "service_started") for name, entry in (value or {}).items()}


def _volumes(entry: dict[str, Any], base: Path) -> Iterable[Mount]:
    for volume in entry.get("volumes") or ():
        if isinstance(volume, str):
            source, target, *options = volume.split(":")
            read_only = "ro" in ",".join(options).split(",")
            kind = "bind" if source.startswith((".", "/", "~")) else "volume"
        else:
            source, target = volume.get("source", ""), volume["target"]
            kind, read_only = volume["type"], bool(volume.get("read_only"))
        yield Mount(kind, str(_path(base, source)) if kind == "bind" else source, target, read_only)


def _tmpfs(entry: dict[str, Any]) -> Iterable[Mount]:
    value = entry.get("tmpfs") or ()
    for tmpfs in [value] if isinstance(value, str) else value:
        yield Mount("tmpfs", "", tmpfs.partition(":")[0])


def _secrets(entry: dict[str, Any], files: Mapping[str, Path]) -> Iterable[Mount]:
    for secret in entry.get("secrets") or ():
        source = secret if isinstance(secret, str) else secret["source"]
        target = source if isinstance(secret, str) else secret.get("target", source)
        if source not in files:
            raise BadInputError(f"secret {source!r} is not among the compose file's secrets")
        yield Mount("bind", str(files[source]), target if target.startswith("/") else f"/run/secrets/{target}", True)


def _ports(entry: dict[str, Any], raw: dict[str, Any]) -> Iterable[Port]:
    for port, written in zip(entry.get("ports") or (), raw.get("ports") or (), strict=True):
        if isinstance(port, dict):
            published, container, names = port.get("published", ""), port["target"], str(written.get("published", ""))
        else:
            *_, published, container = ["", *str(port).split(":")]
            names = str(written)
        variable = _PORT_VARIABLE.search(names)
        name = variable.group(1) if variable else ""
        yield Port(_number(container, name), _number(published, name) if published else None, name)


def _number(text: str | int, variable: str) -> int:
    if str(text).isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise BadInputError(f"{variable or 'port'}={text!r} is not a port; write a number from 1 to 65535")


def _path(base: Path, text: str) -> Path:
    return (base / Path(text).expanduser()).absolute()
