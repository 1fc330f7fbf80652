"""The load generator's settings, all read from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from loadgen.shapes import SHAPES
from workers.catalogue import ACCEPT_ORDER, TASKS
from workers.settings import SettingsError, choice, number

ROLES = ("alone", "master", "worker")
Mix = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Settings:
    """What the load generator is started with. Durations are in seconds.

    rate: tasks published (or orders posted) a second where the shape's multiplier is 1.
    shape: a name of loadgen.shapes.SHAPES; cycle: the length of one round of it, 0 for the shape's own.
    run_time: when to stop; 0 for never.
    mix: names of tasks and how often each is published, relative to the others. Ignored with a target.
    target: the gateway's address, or empty to publish to the broker.
    result_timeout: a task without a result for so long counts as a failure.
    drain: how long a run that ended waits for results.
    max_waiting: tasks whose results are awaited at the same time; more are published and not followed.
    """

    rate: float
    shape: str
    cycle: float
    run_time: float
    mix: Mix
    target: str
    result_timeout: float
    drain: float
    max_waiting: int
    host: str
    port: int
    headless: bool
    metrics_port: int
    role: str
    master_host: str
    master_port: int
    expect_workers: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting; raise SettingsError for the first that cannot be used."""
        headless = choice(environ, "LOAD_HEADLESS", "0", ("0", "1")) == "1"
        run_time = number(environ, "LOAD_RUN_TIME", 0, 0, 7 * 86400)
        role = choice(environ, "LOAD_ROLE", "alone", ROLES)
        if headless and role != "worker" and not run_time:
            raise SettingsError("LOAD_RUN_TIME", "0", "a run without a web page must end: write its length in seconds")
        return cls(
            rate=number(environ, "LOAD_RATE", 5, 0.01, 10_000),
            shape=choice(environ, "LOAD_SHAPE", "steady", tuple(SHAPES)),
            cycle=number(environ, "LOAD_CYCLE", 0, 0, 7 * 86400),
            run_time=run_time,
            mix=_mix(environ.get("LOAD_MIX", "").strip()),
            target=_target(environ.get("LOAD_TARGET", "").strip()),
            result_timeout=number(environ, "LOAD_RESULT_TIMEOUT", 300, 1, 86400),
            drain=number(environ, "LOAD_DRAIN", 10, 0, 3600),
            max_waiting=int(number(environ, "LOAD_MAX_WAITING", 20_000, 1, 1_000_000)),
            host=environ.get("LOADGEN_HOST", "").strip() or "127.0.0.1",
            port=int(number(environ, "LOADGEN_PORT", 8089, 1, 65535)),
            headless=headless,
            metrics_port=int(number(environ, "LOADGEN_METRICS_PORT", 0, 0, 65535)),
            role=role,
            master_host=environ.get("LOAD_MASTER_HOST", "").strip() or "127.0.0.1",
            master_port=int(number(environ, "LOAD_MASTER_PORT", 5557, 1, 65535)),
            expect_workers=int(number(environ, "LOAD_EXPECT_WORKERS", 1, 1, 1000)),
        )


def _mix(text: str) -> Mix:
    if not text:
        return ((ACCEPT_ORDER.name, 1),)
    names = [task.name for task in TASKS]
    mix = []
    for part in text.split(","):
        name, _, weight = (piece.strip() for piece in part.partition("="))
        if name not in names:
            raise SettingsError("LOAD_MIX", text, f"{name!r} is no task; write name=weight,... of: {', '.join(names)}")
        if weight and not (weight.isdecimal() and 1 <= int(weight) <= 1000):
            raise SettingsError("LOAD_MIX", text, f"the weight of {name} is not a whole number from 1 to 1000")
        mix.append((name, int(weight or 1)))
    return tuple(mix)


def _target(text: str) -> str:
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError("LOAD_TARGET", text, "write the gateway's address such as http://gateway:8080, or nothing")
    return text.rstrip("/")
