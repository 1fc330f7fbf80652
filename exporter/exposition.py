"""The text of a scrape: Prometheus' own format and OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from exporter.catalogue import Metric
from exporter.labels import pairs
from exporter.task_series import Histogram

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

CounterRow = tuple[str, float, int, float]
"""Labels, value, number of birth (0 for a value that is somebody else's counter), time of birth."""
GaugeRow = tuple[str, float]
HistogramRow = tuple[str, Histogram, int, float]


class Page:
    """Collects one scrape. Counters born after number ``shown`` are written as 0 (see :mod:`exporter.births`)."""

    def __init__(self, *, openmetrics: bool, prefix: str, shown: int) -> None:
        self._openmetrics = openmetrics
        self._prefix = prefix
        self._shown = shown
        self._lines: list[str] = []

    def _head(self, metric: Metric, *, bare: bool = False) -> str:
        name = metric.name if bare else self._prefix + metric.name
        family = name.removesuffix("_total") if self._openmetrics and metric.kind == "counter" else name
        self._lines.append(f"# HELP {family} {metric.help}")
        self._lines.append(f"# TYPE {family} {metric.kind}")
        return name

    def counters(self, metric: Metric, rows: Iterable[CounterRow], *, bare: bool = False) -> None:
        """Write a counter family."""
        name = self._head(metric, bare=bare)
        shown = self._shown
        if not self._openmetrics:
            self._lines += [
                f"{name}{{{labels}}} {value if number <= shown else 0}"
                if labels
                else f"{name} {value if number <= shown else 0}"
                for labels, value, number, _ in rows
            ]
            return
        created = name.removesuffix("_total") + "_created"
        for labels, value, number, born in rows:
            braced = f"{{{labels}}}" if labels else ""
            self._lines.append(f"{name}{braced} {value if number <= shown else 0}")
            if born:
                self._lines.append(f"{created}{braced} {born:.3f}")

    def gauges(self, metric: Metric, rows: Iterable[GaugeRow], *, bare: bool = False) -> None:
        """Write a gauge family."""
        name = self._head(metric, bare=bare)
        self._lines += [f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in rows]

    def histograms(self, metric: Metric, rows: Iterable[HistogramRow], bounds: Iterable[float]) -> None:
        """Write a histogram family; ``bounds`` are the upper bounds of its buckets, without the infinite one."""
        name = self._head(metric)
        shown = self._shown
        ends = [f',le="{bound}"}} ' for bound in bounds] + [',le="+Inf"} ']
        zeros = [0] * len(ends)
        lines = self._lines
        for labels, histogram, number, born in rows:
            total = histogram.sum
            counts = list(accumulate(histogram.counts))
            if number > shown:
                counts, total = zeros, 0.0
            start = f"{name}_bucket{{{labels}"
            lines += [f"{start}{end}{count}" for end, count in zip(ends, counts, strict=True)]
            lines.append(f"{name}_count{{{labels}}} {counts[-1]}")
            lines.append(f"{name}_sum{{{labels}}} {total}")
            if self._openmetrics:
                lines.append(f"{name}_created{{{labels}}} {born:.3f}")

    def text(self) -> bytes:
        """The whole page."""
        if self._openmetrics:
            self._lines.append("# EOF")
        self._lines.append("")
        return "\n".join(self._lines).encode("utf-8", "replace")


def wants_openmetrics(accept: str) -> bool:
    """Whether an ``Accept`` header prefers OpenMetrics to plain text."""
    best = {"openmetrics": 0.0, "text": 0.0}
    for part in accept.split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        if media == "application/openmetrics-text":
            best["openmetrics"] = max(best["openmetrics"], quality)
        elif media in {"text/plain", "text/*"}:
            best["text"] = max(best["text"], quality)
    return best["openmetrics"] > 0 and best["openmetrics"] >= best["text"]


def wants_gzip(accept_encoding: str) -> bool:
    """Whether an ``Accept-Encoding`` header allows gzip."""
    for part in accept_encoding.split(","):
        coding, _, parameter = part.partition(";")
        if coding.strip().lower() in {"gzip", "x-gzip", "*"}:
            return parameter.replace(" ", "") not in {"q=0", "q=0.0"}
    return False


def with_label(labels: str, name: str, value: str) -> str:
    """Add one pair to the text of a label set."""
    return f"{labels},{pairs({name: value})}" if labels else pairs({name: value})
