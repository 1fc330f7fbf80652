"""The histograms' bucket bounds, read from a TOML file."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

from workers.settings import SettingsError

SHIPPED = Path(__file__).with_name("buckets.toml")
KINDS = ("wait", "exec", "canary")
DEFAULT = "default"

#: Bounds in seconds by queue; ``default`` is always there.
BucketTable = dict[str, tuple[float, ...]]


def load(path: Path | None = None) -> dict[str, BucketTable]:
    """Bounds by kind (wait, exec, canary) and queue, from ``path`` over the shipped file.

    Raises SettingsError, naming METRICS_BUCKETS_FILE, for a file that cannot be used.
    """
    tables = {kind: dict(table) for kind, table in _read(SHIPPED).items()}
    if path is not None:
        for kind, table in _read(path).items():
            # Bounds for one queue leave the other queues', and the default's, as they are.
            tables[kind] |= table
    return tables


def of(table: BucketTable, queue: str) -> tuple[float, ...]:
    """The bounds of ``queue``."""
    return table.get(queue) or table[DEFAULT]


def _read(path: Path) -> dict[str, BucketTable]:
    def refuse(fix: str) -> SettingsError:
        return SettingsError("METRICS_BUCKETS_FILE", str(path), fix)

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise refuse(f"{error.strerror}; name a readable TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise refuse(f"not TOML ({error}); write lines such as payments = [0.1, 1] under [exec]") from None
    tables: dict[str, BucketTable] = {}
    for kind, table in document.items():
        if kind not in KINDS or not isinstance(table, dict):
            raise refuse(f"[{kind}] is not known; write one of: {', '.join(KINDS)}")
        for queue, bounds in table.items():
            numbers = isinstance(bounds, list) and all(type(bound) in (int, float) for bound in bounds)
            if not numbers or not bounds or any(a >= b for a, b in itertools.pairwise(bounds)) or bounds[0] <= 0:
                raise refuse(f"{kind}.{queue} has to be a list of rising numbers of seconds, such as [0.1, 1, 10]")
        tables[kind] = {queue: tuple(map(float, bounds)) for queue, bounds in table.items()}
    return tables
