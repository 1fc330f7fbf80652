"""Prometheus, Alertmanager and the inbox as the harness asks them: small typed clients over HTTP.

A server that cannot be reached raises an OSError (every error of requests is one), which `harness.wait.until`
takes for "not yet". A question that the server refuses raises QueryError, which ends a wait at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

_TIMEOUT_SECONDS = 30.0


class QueryError(Exception):
    """The server understood that it was asked and refused: a wrong expression, a wrong parameter."""


@dataclass(frozen=True)
class Sample:
    """One series of an answer: its labels, its value, and the value's time (epoch seconds)."""

    labels: dict[str, str]
    value: float
    at: float


@dataclass(frozen=True)
class Target:
    """One scrape target. `health` is up, down or unknown; `error` is why the last scrape failed, or empty."""

    job: str
    instance: str
    health: str
    error: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Alert:
    """An alert that Prometheus holds now. `state` is pending or firing; `active_at` is epoch seconds."""

    name: str
    state: str
    labels: dict[str, str]
    annotations: dict[str, str]
    active_at: float


@dataclass(frozen=True)
class Routed:
    """An alert that Alertmanager holds now. `state` is active, suppressed or unprocessed."""

    name: str
    state: str
    labels: dict[str, str]
    annotations: dict[str, str]
    receivers: tuple[str, ...]
    inhibited_by: tuple[str, ...]
    silenced_by: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class Notification:
    """One alert of one notification that reached the inbox. Times are epoch seconds; `ends_at` 0 while it fires."""

    id: int
    received_at: float
    receiver: str
    status: str
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: float
    ends_at: float
    fingerprint: str


def carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether the labels have every wanted one with its value."""
    return all(labels.get(name) == value for name, value in wanted.items())


class _Http:
    """What the three have in common: a base address and JSON answers."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # No session: clients are used from several threads, and every server is on this machine.

    def _get(self, path: str, **params: Any) -> Any:
        answer = requests.get(f"{self.url}{path}", params=params, timeout=_TIMEOUT_SECONDS)
        return self._json(answer)

    def _json(self, answer: requests.Response) -> Any:
        if 400 <= answer.status_code < 500:
            raise QueryError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text.strip()[:500]}")
        answer.raise_for_status()
        return answer.json()


class Prometheus(_Http):
    """A Prometheus server, by its address: `http://127.0.0.1:9090`."""

    def ready(self) -> bool:
        """Whether it answers questions."""
        return requests.get(f"{self.url}/-/ready", timeout=_TIMEOUT_SECONDS).ok

    def reload(self) -> None:
        """Have it read its configuration again. Raises QueryError where the configuration is refused."""
        answer = requests.post(f"{self.url}/-/reload", timeout=_TIMEOUT_SECONDS)
        if not answer.ok:
            raise QueryError(f"Prometheus refuses its configuration: {answer.text.strip()[:500]}")

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """The answer to an instant query; a scalar is one sample without labels.

        `at` is epoch seconds, now where it is left out. Raises QueryError for a wrong expression.
        """
        params = {"query": expression} | ({} if at is None else {"time": repr(at)})
        data = self._get("/api/v1/query", **params)["data"]
        if data["resultType"] == "scalar":
            at_time, value = data["result"]
            return [Sample({}, float(value), float(at_time))]
        return [Sample(row["metric"], float(row["value"][1]), float(row["value"][0])) for row in data["result"]]

    def value(self, expression: str) -> float | None:
        """The value of a query that answers with one series; None where it answers with none.

        Raises QueryError where it answers with several.
        """
        samples = self.query(expression)
        if len(samples) > 1:
            raise QueryError(f"{expression} answers with {len(samples)} series; one was expected")
        return samples[0].value if samples else None

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The answer to a range query as Prometheus writes it: [{metric, values: [[time, value]...]}...]."""
        answer = self._get("/api/v1/query_range", query=expression, start=start, end=end, step=step)
        return list(answer["data"]["result"])

    def targets(self) -> list[Target]:
        """Every active scrape target."""
        rows = self._get("/api/v1/targets", state="active")["data"]["activeTargets"]
        return [
            Target(
                row["labels"].get("job", ""),
                row["labels"].get("instance", ""),
                row["health"],
                row.get("lastError", ""),
                row["labels"],
            )
            for row in rows
        ]

    def alerts(self, name: str | None = None, labels: Mapping[str, str] | None = None) -> list[Alert]:
        """The alerts that are pending or firing, all or those of a name with at least these labels."""
        rows = self._get("/api/v1/alerts")["data"]["alerts"]
        found = [
            Alert(
                row["labels"]["alertname"],
                row["state"],
                row["labels"],
                row.get("annotations", {}),
                _epoch(row.get("activeAt")),
            )
            for row in rows
        ]
        return [a for a in found if name in {None, a.name} and carries(a.labels, labels or {})]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule as Prometheus reports it, each with the name of its group."""
        groups = self._get("/api/v1/rules")["data"]["groups"]
        return [{"group": group["name"], **rule} for group in groups for rule in group["rules"]]

    def metadata(self) -> dict[str, Any]:
        """Version and build of the server."""
        return dict(self._get("/api/v1/status/buildinfo")["data"])


class Alertmanager(_Http):
    """An Alertmanager, by its address."""

    def ready(self) -> bool:
        """Whether it answers questions."""
        return requests.get(f"{self.url}/-/ready", timeout=_TIMEOUT_SECONDS).ok

    def alerts(self, name: str | None = None, labels: Mapping[str, str] | None = None) -> list[Routed]:
        """The alerts that it holds, inhibited and silenced ones too; those of a name, with at least these labels."""
        rows = self._get("/api/v2/alerts", active="true", silenced="true", inhibited="true", unprocessed="true")
        found = [
            Routed(
                row["labels"].get("alertname", ""),
                row["status"]["state"],
                row["labels"],
                row["annotations"],
                tuple(receiver["name"] for receiver in row["receivers"]),
                tuple(row["status"]["inhibitedBy"]),
                tuple(row["status"]["silencedBy"]),
                row["fingerprint"],
            )
            for row in rows
        ]
        return [a for a in found if name in {None, a.name} and carries(a.labels, labels or {})]


class Inbox(_Http):
    """The alert inbox, by its address."""

    def ready(self) -> bool:
        """Whether it takes notifications."""
        return requests.get(f"{self.url}/healthz", timeout=_TIMEOUT_SECONDS).ok

    def last_id(self) -> int:
        """The number of the newest notification; what comes later has a greater one."""
        after = 0
        while True:
            answer = self._get("/api/notifications", after=after)
            if not answer["notifications"]:
                return max(after, int(answer["last_id"]))
            after = answer["notifications"][-1]["id"]

    def notifications(
        self,
        after: int = 0,
        name: str | None = None,
        status: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Notification]:
        """What arrived after the notification with the number `after`, oldest first.

        `name` and `status` (firing, resolved) and `labels` narrow it.
        """
        params = {"alertname": name, "status": status}
        found: list[Notification] = []
        while True:
            rows = self._get("/api/notifications", after=after, **params)["notifications"]
            if not rows:
                return found
            after = rows[-1]["id"]
            found += [n for n in map(_notification, rows) if carries(n.labels, labels or {})]


def _notification(row: Mapping[str, Any]) -> Notification:
    return Notification(
        id=int(row["id"]),
        received_at=float(row["received_at"]),
        receiver=row["receiver"],
        status=row["status"],
        name=row["alertname"],
        labels=row["labels"],
        annotations=row["annotations"],
        starts_at=_epoch(row.get("starts_at")),
        ends_at=_epoch(row.get("ends_at")),
        fingerprint=row["fingerprint"],
    )


def _epoch(value: Any) -> float:
    """A time as epoch seconds, from a number or from RFC 3339; 0 where there is none."""
    if not value:
        return 0.0
    if isinstance(value, int | float):
        return float(value)
    # Prometheus writes nanoseconds, which datetime does not read.
    text, dot, rest = value.replace("Z", "+00:00").partition(".")
    if dot:
        sign = max(rest.find("+"), rest.find("-"))
        text += "." + rest[:sign][:6].ljust(6, "0") + rest[sign:]
    return datetime.fromisoformat(text).timestamp()
