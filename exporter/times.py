"""Times as Celery writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def eta_seconds(text: str) -> float:
    """Return an ISO 8601 time as seconds since the epoch; 0 for what is none. A time without zone is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return 0.0
