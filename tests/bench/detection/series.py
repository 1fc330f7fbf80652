"""Samples of one simulated run, kept by series and written the way promtool reads them."""

from __future__ import annotations

from collections.abc import Mapping

Labels = tuple[tuple[str, str], ...]


class Series:
    """What Prometheus would have scraped: for each series one value per scrape, None where it was absent."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], list[float | None]] = {}
        self.scrapes = 0

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """The value of a series at the current scrape. A second value replaces the first."""
        key = (name, tuple(sorted(labels.items())))
        values = self._values.setdefault(key, [])
        values.extend([None] * (self.scrapes + 1 - len(values)))
        values[self.scrapes] = value

    def scraped(self) -> None:
        """The current scrape is over."""
        self.scrapes += 1

    def drop(self, keep: Mapping[str, str]) -> None:
        """Takes back the current scrape of every series that has these labels, as when the target is down."""
        wanted = set(keep.items())
        for (_name, labels), values in self._values.items():
            if wanted <= set(labels) and len(values) == self.scrapes + 1:
                values[self.scrapes] = None

    def input_series(self) -> list[dict[str, str]]:
        """`input_series` of a promtool test. A series that ends is marked stale, as a scrape would."""
        rows = []
        for (name, labels), values in sorted(self._values.items()):
            padded = values + [None] * (self.scrapes - len(values))
            written, previous = [], None
            for value in padded:
                if value is None:
                    written.append("stale" if previous is not None else "_")
                else:
                    written.append(f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3f}")
                previous = value
            inner = ",".join(f'{key}="{text}"' for key, text in labels)
            rows.append({"series": f"{name}{{{inner}}}", "values": " ".join(_runs(written))})
        return rows


def _runs(values: list[str]) -> list[str]:
    """Equal neighbours in promtool's short form, `3x4` being 3 five times."""
    runs: list[str] = []
    start = 0
    for end in range(1, len(values) + 1):
        if end == len(values) or values[end] != values[start]:
            length, value = end - start, values[start]
            if value == "stale" or length == 1:
                runs.extend([value] * length)
            else:
                runs.append(f"{value}x{length - 1}" if value != "_" else f"_x{length}")
            start = end
    return runs
