"""Settings of the gateway, read from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.settings import number


@dataclass(frozen=True)
class GatewaySettings:
    """Where the gateway listens, where it keeps orders, and how many it takes while the broker is away."""

    host: str
    port: int
    database: Path
    #: Orders kept for a broker that is away; beyond them orders are refused. 0 refuses at once.
    outbox_limit: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> GatewaySettings:
        """Read every setting; raise SettingsError for the first that cannot be used."""
        return cls(
            host=environ.get("GATEWAY_HOST", "").strip() or "127.0.0.1",
            port=int(number(environ, "GATEWAY_PORT", 8080, 1, 65535)),
            database=Path(environ.get("GATEWAY_DB", "").strip() or ".state/gateway.sqlite"),
            outbox_limit=int(number(environ, "OUTBOX_LIMIT", 500, 0, 1_000_000)),
        )
