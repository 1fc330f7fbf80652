"""Alertmanager's webhook, version 4: what is read of it and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

Status = Literal["firing", "resolved"]

# One alert is a few hundred bytes. The bounds keep a row small whatever a sender puts into it, so that
# the row limit bounds the size of the database as well.
MAX_PAIRS = 64
MAX_ALERTS = 5_000
MAX_ALERT_CHARACTERS = 16_384
MAX_ANNOTATION_CHARACTERS = 2_000

Labels = Annotated[dict[str, str], Field(max_length=MAX_PAIRS)]


class PayloadError(ValueError):
    """A notification that is refused. `reason` is one of metrics.REASONS, the text is for the sender."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class WebhookAlert(BaseModel):
    """One alert of a notification, under Alertmanager's own names."""

    status: Status
    labels: Labels
    annotations: Labels = Field(default_factory=dict)
    startsAt: AwareDatetime  # noqa: N815
    endsAt: AwareDatetime | None = None  # noqa: N815
    generatorURL: str = ""  # noqa: N815
    fingerprint: str = Field(min_length=1, max_length=128)


class Webhook(BaseModel):
    """One notification: a group of alerts for one receiver."""

    version: Literal["4"]
    groupKey: str = Field(max_length=MAX_ALERT_CHARACTERS)  # noqa: N815
    receiver: str = Field(max_length=256)
    alerts: list[WebhookAlert] = Field(min_length=1, max_length=MAX_ALERTS)
    truncatedAlerts: int = 0  # noqa: N815


@dataclass(frozen=True)
class Alert:
    """One alert as it is kept: one row. Times are epoch seconds; ends_at is None while it fires."""

    receiver: str
    status: Status
    alertname: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: float
    ends_at: float | None
    fingerprint: str
    group_key: str
    generator_url: str


@dataclass(frozen=True)
class Notification:
    """The alerts of one webhook call, and how many Alertmanager left out of it (max_alerts)."""

    alerts: list[Alert]
    truncated: int


def parse(body: bytes) -> Notification:
    """Read one webhook call. Raises PayloadError with a sentence for the sender."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PayloadError("not_json", f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise PayloadError("invalid", "the body is not a JSON object: send Alertmanager's webhook")
    if content.get("version") != "4":
        raise PayloadError("unsupported_version", 'version is not "4": send Alertmanager\'s webhook version 4')
    try:
        webhook = Webhook.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise PayloadError("invalid", f"{where}: {first['msg']}") from None
    return Notification([_kept(webhook, alert) for alert in webhook.alerts], max(0, webhook.truncatedAlerts))


def _kept(webhook: Webhook, alert: WebhookAlert) -> Alert:
    annotations = {name: _shortened(value) for name, value in alert.annotations.items()}
    size = sum(len(name) + len(value) for name, value in (*alert.labels.items(), *annotations.items()))
    if size + len(alert.generatorURL) > MAX_ALERT_CHARACTERS:
        raise PayloadError(
            "invalid", f"labels, annotations and generatorURL of one alert exceed {MAX_ALERT_CHARACTERS} characters"
        )
    return Alert(
        receiver=webhook.receiver,
        status=alert.status,
        alertname=alert.labels.get("alertname", ""),
        labels=alert.labels,
        annotations=annotations,
        starts_at=alert.startsAt.timestamp(),
        ends_at=_end(alert.status, alert.endsAt),
        fingerprint=alert.fingerprint,
        group_key=webhook.groupKey,
        generator_url=alert.generatorURL,
    )


def _end(status: Status, ends_at: datetime | None) -> float | None:
    # Go writes "no time" as the first moment of year 1, and a firing alert may carry the time at
    # which it would expire: neither is an end.
    if status == "firing" or ends_at is None or ends_at.year == 1:
        return None
    return ends_at.timestamp()


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_ANNOTATION_CHARACTERS else text[: MAX_ANNOTATION_CHARACTERS - 1] + "…"
