"""Which server programs there are, the packages that bring them, and the versions that will do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tree:
    """A set of packages that is unpacked together, into ``.state/bin/trees/<name>``."""

    name: str
    packages: tuple[str, ...]
    #: The suite to fall back on where the machine's own release has only older versions than `minimum`.
    #: None: only the machine's own release, whose C library the programs need.
    suite: str | None = None
    minimum: tuple[int, ...] = ()


@dataclass(frozen=True)
class Program:
    """Where one program lies in its tree, and by which names it is known on PATH."""

    tree: Tree
    inside: str
    names: tuple[str, ...]
    arguments: tuple[str, ...] = ()


# Rule for the versions: the machine's own release where it is recent enough, else the suite named here.
# Programs written in Go need only an old C library and run on any release; Redis and Chromium do not.
_REDIS = Tree("redis", ("redis-server", "redis-tools", "redis-sentinel"), minimum=(6, 2))
_PROMETHEUS = Tree("prometheus", ("prometheus", "promtool"), suite="forky", minimum=(3, 0))
ALERTMANAGER = Tree("alertmanager", ("prometheus-alertmanager",), suite="forky", minimum=(0, 28))
_CHROMIUM = Tree("chromium", ("chromium", "fonts-dejavu-core"))

# The browser only ever opens pages of this project on loopback. Its sandbox needs root's set-uid helper
# or user namespaces, and neither is there in every container.
_HEADLESS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")

PROGRAMS = {
    "redis-server": Program(_REDIS, "usr/bin/redis-server", ("redis-server",)),
    "redis-cli": Program(_REDIS, "usr/bin/redis-cli", ("redis-cli",)),
    "redis-sentinel": Program(_REDIS, "usr/bin/redis-sentinel", ("redis-sentinel",)),
    "prometheus": Program(_PROMETHEUS, "usr/bin/prometheus", ("prometheus",)),
    "promtool": Program(_PROMETHEUS, "usr/bin/promtool", ("promtool",)),
    "alertmanager": Program(
        ALERTMANAGER, "usr/bin/prometheus-alertmanager", ("alertmanager", "prometheus-alertmanager")
    ),
    "amtool": Program(ALERTMANAGER, "usr/bin/amtool", ("amtool",)),
    "chromium": Program(_CHROMIUM, "usr/lib/chromium/chromium", ("chromium", "google-chrome"), _HEADLESS),
}
