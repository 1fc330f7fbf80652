"""What the OTEL_ variables ask for, as far as it is not OpenTelemetry's own library that reads them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from workers.settings import SettingsError

LINKS = ("eta", "chain")
ENDPOINTS = {
    "traces": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "metrics": "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
}


@dataclass(frozen=True)
class Configuration:
    """Which signals are sent, and which tasks start a trace of their own."""

    traces: bool
    metrics: bool
    links: frozenset[str]
    endpoint: str

    @property
    def on(self) -> bool:
        """Whether anything is sent at all."""
        return self.traces or self.metrics

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], links: Set[str] | None) -> Configuration:
        """Read the variables; SettingsError for a protocol or a kind of link that there is not."""

        def value(name: str) -> str:
            return environ.get(name, "").strip()

        wanted = set(links) if links is not None else {word for word in value("CELERY_TRACE_LINKS").split(",") if word}
        if unknown := wanted - set(LINKS):
            raise SettingsError("CELERY_TRACE_LINKS", ",".join(sorted(unknown)), f"write any of: {', '.join(LINKS)}")
        common = value("OTEL_EXPORTER_OTLP_ENDPOINT")
        enabled = value("OTEL_SDK_DISABLED").lower() != "true"

        def sent(signal: str) -> bool:
            exporter = value(f"OTEL_{signal.upper()}_EXPORTER") or "otlp"
            if exporter not in ("otlp", "none"):
                raise SettingsError(f"OTEL_{signal.upper()}_EXPORTER", exporter, "write otlp or none")
            return enabled and exporter == "otlp" and bool(common or value(ENDPOINTS[signal]))

        configuration = cls(sent("traces"), sent("metrics"), frozenset(wanted), common)
        protocol = value("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
        if configuration.on and protocol != "http/protobuf":
            raise SettingsError("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, "write http/protobuf, or leave it out")
        return configuration
