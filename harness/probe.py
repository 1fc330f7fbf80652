"""Asking whether an alert fires, arrives, stays silent and clears: what the pytest plugin offers, without pytest.

Each question waits for its condition with a deadline, and says on failure what there was instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from harness.clients import Alert, Alertmanager, Inbox, Notification, Prometheus
from harness.wait import Pending, holds, until

WITHIN_SECONDS = 120.0


class Probe:
    """The alerts of one Prometheus, and of the Alertmanager and the inbox behind it where there are any."""

    def __init__(
        self, prometheus: Prometheus, alertmanager: Alertmanager | None = None, inbox: Inbox | None = None
    ) -> None:
        self.prometheus = prometheus
        self.alertmanager = alertmanager
        self._inbox = inbox
        #: The names that were asked about: evidence keeps the series of their rules.
        self.asked: set[str] = set()

    @property
    def inbox(self) -> Inbox:
        """The inbox. Raises AssertionError where none is known."""
        if self._inbox is None:
            raise AssertionError("no inbox is known: give its address (--inbox-url), or run the stack")
        return self._inbox

    def fires(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        within: float = WITHIN_SECONDS,
        states: tuple[str, ...] = ("firing",),
    ) -> Alert:
        """Wait until an alert of this name with at least these labels is in one of `states`, and return it.

        Raises DeadlineError with the alerts that there were instead, and AssertionError at once where Prometheus
        has no rule of this name.
        """
        self._know(name)

        def check() -> Alert | Pending:
            for alert in self.prometheus.alerts(name, labels):
                if alert.state in states:
                    return alert
            return Pending(_told(self.prometheus.alerts(name)) or f"no alert {name} at all")

        return until(check, f"{name}{_braces(labels)} to be {' or '.join(states)}", within)

    def silent(self, name: str, labels: Mapping[str, str] | None = None, seconds: float = 30.0) -> None:
        """Insist that no alert of this name with these labels fires for so long. Pending is silent."""
        self._know(name)

        def check() -> bool | Pending:
            firing = [a for a in self.prometheus.alerts(name, labels) if a.state == "firing"]
            return Pending(_told(firing)) if firing else True

        holds(check, f"silence of {name}{_braces(labels)}", seconds)

    def delivered(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        within: float = WITHIN_SECONDS,
        after: int = 0,
    ) -> Notification:
        """Wait until a firing notification reached the inbox later than the one with the number `after`."""
        self.asked.add(name)

        def check() -> Notification | Pending:
            found = self.inbox.notifications(after, name, "firing", labels)
            return found[0] if found else Pending(self._instead(name, after))

        return until(check, f"{name}{_braces(labels)} to reach the inbox", within)

    def resolves(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        within: float = WITHIN_SECONDS,
        after: int = 0,
    ) -> Notification | None:
        """Wait until the alert no longer fires and, where there is an inbox, its end arrived there: that is returned.

        `after` is the number of a notification of its firing; only what came later counts.
        """
        self._know(name)

        def gone() -> bool | Pending:
            firing = [a for a in self.prometheus.alerts(name, labels) if a.state == "firing"]
            return Pending(_told(firing)) if firing else True

        until(gone, f"{name}{_braces(labels)} to clear", within)
        if self._inbox is None:
            return None

        def arrived() -> Notification | Pending:
            found = self.inbox.notifications(after, name, "resolved", labels)
            return found[-1] if found else Pending(self._instead(name, after))

        return until(arrived, f"the end of {name}{_braces(labels)} to reach the inbox", within)

    def _know(self, name: str) -> None:
        """Refuse to wait for an alert that no rule can raise."""
        self.asked.add(name)
        names = {rule["name"] for rule in self.prometheus.rules() if rule["type"] == "alerting"}
        if name not in names:
            close = difflib.get_close_matches(name, names)
            hint = f"did you mean {' or '.join(close)}?" if close else f"it has {len(names)} others"
            raise AssertionError(f"{self.prometheus.url} has no alerting rule {name}; {hint}")

    def _instead(self, name: str, after: int) -> str:
        arrived = ", ".join(f"{n.name} {n.status}" for n in self.inbox.notifications(after)[-20:]) or "nothing"
        held = (
            [a for a in self.alertmanager.alerts(name) if a.inhibited_by or a.silenced_by] if self.alertmanager else []
        )
        return f"arrived: {arrived}" + (f"; {len(held)} of {name} are inhibited or silenced" if held else "")


def _braces(labels: Mapping[str, str] | None) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


def _told(alerts: list[Alert]) -> str:
    return "; ".join(f"{alert.name} {alert.state} {_braces(alert.labels)}" for alert in alerts)
