"""`until` and `holds`, over a clock that the test turns itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import wait


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(wait, "time", clock)
    monkeypatch.setattr(wait, "_pause", lambda seconds, _: clock.sleep(seconds))
    return clock


def test_until_returns_the_first_true_answer(clock: Clock) -> None:
    answers = iter([None, 0, [], wait.Pending("soon"), "there", "later"])
    assert wait.until(lambda: next(answers), "an answer", timeout=10, interval=1) == "there"
    assert clock.sleeps == [1, 1, 1, 1]


def test_until_does_not_sleep_where_it_is_so_already(clock: Clock) -> None:
    assert wait.until(lambda: 7, "seven", timeout=0) == 7
    assert clock.sleeps == []


def test_until_says_what_it_waited_for_and_what_it_saw_last(clock: Clock) -> None:
    left = iter(range(100))
    with pytest.raises(wait.DeadlineError, match=r"waited in vain for five orders: 3\.0 s, 4 looks; last seen: 3 of 5"):
        wait.until(lambda: wait.Pending(f"{next(left)} of 5"), "five orders", timeout=3, interval=1)


def test_until_looks_once_more_at_the_deadline(clock: Clock) -> None:
    assert wait.until(lambda: clock.now >= 1002.5, "half past two", timeout=2.5, interval=2) is True


def test_until_takes_a_refused_connection_for_not_yet(clock: Clock) -> None:
    def check() -> str:
        if clock.now < 1003:
            raise ConnectionRefusedError("port 9090")
        return "up"

    assert wait.until(check, "the port", timeout=5, interval=1) == "up"


def test_until_shows_the_last_error(clock: Clock) -> None:
    def check() -> bool:
        raise ConnectionRefusedError("port 9090")

    with pytest.raises(wait.DeadlineError, match="last seen: ConnectionRefusedError: port 9090"):
        wait.until(check, "the port", timeout=1, interval=1)


def test_until_lets_a_mistake_in_the_check_through_at_once(clock: Clock) -> None:
    with pytest.raises(KeyError):
        wait.until(lambda: {}["alert"], "an alert", timeout=60)
    assert clock.sleeps == []


def test_until_cuts_a_huge_answer_short(clock: Clock) -> None:
    with pytest.raises(wait.DeadlineError) as caught:
        wait.until(lambda: wait.Pending("x" * 100_000), "less", timeout=0)
    assert len(str(caught.value)) < 3000


def test_holds_looks_at_the_start_and_at_the_end(clock: Clock) -> None:
    seen: list[float] = []
    wait.holds(lambda: seen.append(clock.now) or True, "time", seconds=2.5, interval=1)
    assert seen == [1000.0, 1001.0, 1002.0, 1002.5]


def test_holds_breaks_at_the_first_answer_that_is_not_so(clock: Clock) -> None:
    def check() -> object:
        return clock.now < 1002 or wait.Pending("QueueStalled is firing")

    with pytest.raises(wait.BrokenError, match=r"silence did not hold: after 2\.0 of 60 s saw QueueStalled is firing"):
        wait.holds(check, "silence", seconds=60, interval=1)
    assert clock.now == 1002


def test_holds_does_not_take_a_failing_look_for_silence(clock: Clock) -> None:
    def check() -> bool:
        raise ConnectionRefusedError("port 9090")

    with pytest.raises(ConnectionRefusedError):
        wait.holds(check, "silence", seconds=1)


def test_who_is_interrupted_ends_the_waits_of_its_threads() -> None:
    with ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(wait.until, lambda: False, "rain", 600),
            pool.submit(wait.holds, lambda: True, "sunshine", 600),
        ]
        with wait.giving_up():
            for one in waiting:
                with pytest.raises(wait.GivenUpError, match=r"gave up waiting for (rain|sunshine)"):
                    one.result(60)
    assert wait.until(lambda: True, "what comes after") is True
