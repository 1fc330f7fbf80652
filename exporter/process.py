"""The exporter's own use of the machine, from /proc; nothing where there is no /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path

_STARTED = time.time()
_PAGE = os.sysconf("SC_PAGE_SIZE")


def read() -> dict[str, float]:
    """Return the ``process_`` metrics that can be read here."""
    found = {
        "process_cpu_seconds_total": round(time.process_time(), 3),
        "process_start_time_seconds": round(_STARTED, 3),
    }
    try:
        found["process_resident_memory_bytes"] = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
        found["process_open_fds"] = len(os.listdir("/proc/self/fd"))
    except (OSError, ValueError, IndexError):
        pass
    return found
