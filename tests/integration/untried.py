"""Alerts and faults without a scenario, and why. A test holds this list and the table of scenarios whole."""

from __future__ import annotations

_HISTORY = "needs more history than a test can wait for, even on the test clock: "
_OWN_SETTINGS = "tells of a wrong setting that this stack does not have: "
_OWN_PIPELINE = "is about the path that a scenario would be told by: "

#: Alerts without a scenario, and why. promtool's tests alone prove these.
NOT_HERE: dict[str, str] = {
    "Watchdog": "fires always: the healthy run insists that it arrives",
    "QueueWaitFastBurn": "is silent beside another page of its queue, and OldestTaskTooOld comes first",
    "QueueWaitSlowBurn": _HISTORY + "six hours",
    "QueueWaitBudgetLow": _HISTORY + "a day, and an hour of `for`",
    "BacklogGrowing": _HISTORY + "half an hour of growth",
    "ProducersSilent": _HISTORY + "a day of traffic",
    "TaskRuntimeRegressed": _HISTORY + "the day before",
    "NewExceptionClass": _HISTORY + "an hour of an exporter's life",
    "WorkersKeepDying": _HISTORY + "an hour in which workers die and return",
    "HistogramBucketsTooShort": _HISTORY + "a quarter of an hour of runs beyond the last bucket",
    "PidboxLeak": _HISTORY + "a thousand reply queues that nobody deletes",
    "CanaryLost": "its limit is an objective of five minutes, which the clock does not divide",
    "QueueReadingsStale": "its limit of a minute is not divided, and the broker's outage ends before",
    "UnackedNearVisibilityTimeout": "the visibility timeout is Celery's own and is not divided",
    "BeatNotFiring": "a scheduler that ticks and does not send has to be written wrong; frozen and gone are tried",
    "ScheduledTaskMissed": "one entry alone is missed only where the schedule is wrong; all of them are BeatDead",
    "OutboxStale": "belongs to the gateway, an optional part that is tried by its own tests",
    "WorkerClockSkew": "needs a machine with a wrong clock",
    "EventsLost": "Redis loses no event of a reader that keeps up; the exporter's own tests cut its connection",
    "ExporterFallingBehind": "the exporter keeps up with more than two cores can publish",
    "BrokerMemoryHigh": "a full Redis silences its workers too: more than one page on the fast clock",
    "BrokerMemoryAlmostFull": "for the same reason as BrokerMemoryHigh",
    "BrokerEvictingKeys": _OWN_SETTINGS + "an eviction policy that deletes queues",
    "BrokerEvictionPolicyUnsafe": _OWN_SETTINGS + "an eviction policy that deletes queues",
    "QueueWaitObjectiveUnmeasured": _OWN_SETTINGS + "a limit that is no bound of the histogram",
    "ScrapeLimitHit": _OWN_SETTINGS + "the exporter's limit is below that of its job",
    "CardinalityGuardActive": _OWN_SETTINGS + "a metric with a label without a bound",
    "HighCardinality": _OWN_SETTINGS + "the exporter's limit is below this one",
    "PrometheusRuleFailures": _OWN_SETTINGS + "a rule that fails to evaluate",
    "PrometheusRulesSlow": "depends on the machine, and a busy one must not fail a test",
    "PrometheusConfigReloadFailed": _OWN_SETTINGS + "a configuration that does not load",
    "AlertmanagerConfigReloadFailed": _OWN_SETTINGS + "a configuration that does not load",
    "PrometheusNotConnectedToAlertmanager": _OWN_PIPELINE + "no Alertmanager, no notification",
    "PrometheusNotificationsFailing": _OWN_PIPELINE + "no Alertmanager, no notification",
    "AlertmanagerNotificationsFailing": _OWN_PIPELINE + "no receiver, no notification",
}

#: Faults that no scenario of an alert uses, and where they are tried.
OTHER_FAULTS: dict[str, str] = {
    "redis-restart": "pages nobody: a test of its own in test_outages",
    "broker-full": "see BrokerMemoryHigh; try it with `make break`",
    "kill-child": "told by what it does: poison is the same killing for ever",
}
