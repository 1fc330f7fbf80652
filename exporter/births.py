"""When series are born, and who has seen them: the first time a scraper reads a counter, it says 0.

``increase()`` cannot see the first increment of a counter that appears with a value above 0. So a new counter is
shown as 0 to each scraper once, whatever it has counted by then, and with its value from the next scrape on.

Who is a scraper: Prometheus and everything built on its scraping code say so in a header, and whoever has asked three
times at short intervals is taken for one. Everybody else (a person with curl) is shown the values. A scraper that is
new here is shown the values of what another scraper has seen at 0 already: after a restart of its own, a 0 would look
like a counter reset.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

_MAX_SCRAPERS = 64
_FORGET_AFTER = 900.0
_REGULAR_AFTER = 3
_REGULAR_INTERVAL = 120.0
EVERYTHING = 1 << 62


@dataclass(slots=True)
class _Scraper:
    shown: int
    seen: float
    scrapes: int


class Births:
    """Numbers every counter in the order of birth, and remembers up to which number each scraper has seen them."""

    def __init__(self) -> None:
        self.last = 0
        self._seen_by_any = 0
        self._scrapers: dict[str, _Scraper] = {}

    def next(self) -> tuple[int, float]:
        """Return the number of a newborn counter and the time of its birth (seconds since the epoch)."""
        self.last += 1
        return self.last, time.time()

    def scraped_by(self, name: str, now: float, *, declared: bool) -> int:
        """Note a scrape and return the highest number that ``name`` may see the value of; younger counters say 0.

        ``now`` is any steadily rising clock in seconds; ``declared`` whether the request says that it is a scrape.
        Called by one thread at a time.
        """
        # Taken before anything is rendered: a counter born in between is shown as 0 now and once more next time.
        last = self.last
        known = self._scrapers.pop(name, None)
        if known is None or now - known.seen > _FORGET_AFTER:
            known = _Scraper(self._seen_by_any, now, 0)
        elif not declared and now - known.seen > _REGULAR_INTERVAL:
            known.scrapes = 0
        shown = known.shown
        known.shown, known.seen, known.scrapes = last, now, known.scrapes + 1
        self._scrapers[name] = known
        while len(self._scrapers) > _MAX_SCRAPERS:
            del self._scrapers[next(iter(self._scrapers))]
        if not declared and known.scrapes <= _REGULAR_AFTER:
            return EVERYTHING
        self._seen_by_any = max(self._seen_by_any, last)
        return shown
