"""Webhook calls as Alertmanager sends them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from harness.child import Child

Serve = Callable[..., tuple[Child, str]]

NEVER = "0001-01-01T00:00:00Z"


def alert(name: str = "OldestTaskTooOld", status: str = "firing", **changes: Any) -> dict[str, Any]:
    labels = {"alertname": name, "severity": "critical", "queue": "payments", **changes.pop("labels", {})}
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": f"{name} on payments", "description": "The oldest task waits for 4 minutes."},
        "startsAt": "2026-01-02T03:04:05.5Z",
        "endsAt": NEVER if status == "firing" else "2026-01-02T03:14:05.5Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": f"{name}-{labels['queue']}"[:100],
        **changes,
    }


def webhook(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="OldestTaskTooOld"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "inbox",
        "groupLabels": {"alertname": "OldestTaskTooOld"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts) or [alert()],
        **changes,
    }


def encoded(*alerts: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(webhook(*alerts, **changes)).encode()
