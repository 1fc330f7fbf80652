"""Configuration folders of services as plain processes read them, and the scrape targets that come and go.

A container finds workers by DNS: every copy of a service answers to the service's name. Without containers
there is no such DNS, so a rendered copy of prometheus.yml reads the same targets from files that are written
anew whenever a copy starts or goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.translate import LOOPBACK

TARGETS = "targets"
_TEXTS = {".yml", ".yaml"}


def copy(source: Path, target: Path, translate: Callable[[str], str], targets: Path, services: Iterable[str]) -> None:
    """Copy a configuration folder (or file) with every YAML text in it translated.

    `services` are those that run: a scrape job that reads only others is left out. What is in `target` and not in
    `source` any more goes; a file that did not change is left alone, so that nobody who watches it reads it again.
    """
    wanted: dict[Path, bytes] = {}
    for path in [source] if source.is_file() else sorted(source.rglob("*")):
        place = target if path == source else target / path.relative_to(source)
        if path.is_file():
            wanted[place] = _rendered(path, translate, targets, set(services))
    for place in sorted(target.rglob("*")) if target.is_dir() else []:
        if place.is_file() and place not in wanted:
            place.unlink()
    for place, content in wanted.items():
        if not place.is_file() or place.read_bytes() != content:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Nobody else writes the target files meanwhile, in this process or another."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_targets(folder: Path, service: str, ports: Iterable[Mapping[int, int]]) -> None:
    """Write the files of one service: for each container port, the places where its copies listen."""
    folder.mkdir(parents=True, exist_ok=True)
    by_port: dict[int, list[str]] = {}
    for copy_ports in ports:
        for container, here in copy_ports.items():
            by_port.setdefault(container, []).append(f"{LOOPBACK}:{here}")
    for old in folder.glob(f"{service}_*.json"):
        if int(old.stem.rpartition("_")[2]) not in by_port:
            by_port[int(old.stem.rpartition("_")[2])] = []
    for container, found in by_port.items():
        # The label that a DNS discovery sets, so that relabelling sees no difference.
        group = {"targets": sorted(found), "labels": {"__meta_dns_name": service}}
        _replace(folder / f"{service}_{container}.json", json.dumps([group] if found else []))


def _rendered(path: Path, translate: Callable[[str], str], targets: Path, services: set[str]) -> bytes:
    if path.suffix not in _TEXTS:
        return path.read_bytes()
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    if isinstance(content, dict) and isinstance(content.get("scrape_configs"), list):
        content["scrape_configs"] = [
            discovered(job, targets) for job in content["scrape_configs"] if reads_any(job, services)
        ]
        text = yaml.safe_dump(content, sort_keys=False, width=10_000)
    return translate(text).encode()


def without_absent(text: str, services: Iterable[str]) -> str:
    """A prometheus.yml without the jobs of services that do not run."""
    content = yaml.safe_load(text)
    content["scrape_configs"] = [job for job in content.get("scrape_configs", []) if reads_any(job, set(services))]
    return yaml.safe_dump(content, sort_keys=False, width=10_000)


def reads_any(job: Mapping[str, Any], services: set[str]) -> bool:
    """Whether a scrape job reads at least one service that runs, or something that is no service of the stack."""
    named = set[str]()
    for group in job.get("static_configs") or ():
        named |= {str(target).partition(":")[0] for target in group.get("targets") or ()}
    for found in job.get("dns_sd_configs") or ():
        named |= set(found.get("names") or ())
    return not named or bool(named & (services | {"localhost", LOOPBACK})) or any("." in name for name in named)


def discovered(job: Mapping[str, Any], targets: Path) -> dict[str, Any]:
    """A scrape job that finds by files what it found by DNS."""
    result = dict(job)
    by_dns = result.pop("dns_sd_configs", None)
    if by_dns:
        files = [str(targets / f"{name}_{entry.get('port', 80)}.json") for entry in by_dns for name in entry["names"]]
        result["file_sd_configs"] = [*result.get("file_sd_configs", []), {"files": files, "refresh_interval": "5s"}]
    return result


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
