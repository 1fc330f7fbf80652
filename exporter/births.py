"""When series are born, and who has seen them: the first time anybody reads a counter, it says 0.

``increase()`` cannot see the first increment of a counter that appears with a value above 0. So a new counter is
shown as 0 to each scraper once, whatever it has counted by then, and with its value from the next scrape on. A
scraper is known by its address and user agent; one that has not been seen before is shown the values of every
counter that somebody else has seen at 0, since to it a 0 after its own restart would look like a counter reset.
"""

from __future__ import annotations

import time

_MAX_SCRAPERS = 64
_FORGET_AFTER = 900.0


class Births:
    """Numbers every counter in the order of birth, and remembers up to which number each scraper has seen them."""

    def __init__(self) -> None:
        self.last = 0
        self._seen_by_anyone = 0
        self._scrapers: dict[str, tuple[int, float]] = {}

    def next(self) -> tuple[int, float]:
        """Return the number of a newborn counter and the time of its birth (seconds since the epoch)."""
        self.last += 1
        return self.last, time.time()

    def scraped_by(self, scraper: str, now: float) -> int:
        """Note a scrape and return the highest number that this scraper may see the value of; younger counters say 0.

        ``now`` is any steadily rising clock in seconds. Called by one thread at a time.
        """
        # Taken before anything is rendered: a counter born in between is shown as 0 now and once more next time.
        last = self.last
        shown, _ = self._scrapers.pop(scraper, (self._seen_by_anyone, 0.0))
        self._scrapers[scraper] = (last, now)
        self._seen_by_anyone = max(self._seen_by_anyone, last)
        for known, (_, seen) in list(self._scrapers.items()):
            if len(self._scrapers) <= _MAX_SCRAPERS and now - seen < _FORGET_AFTER:
                break
            del self._scrapers[known]
        return shown
