"""Somebody's own test of their own rules. It runs where only the plugin and a Prometheus are there."""

import os

import pytest
import requests


def set_length(queue: str, length: int) -> None:
    """Somebody's own way to fill and empty a queue: here, telling a small application."""
    requests.put(f"{os.environ['APPLICATION_URL']}/{queue}", data=str(length), timeout=10).raise_for_status()


def test_a_backlog_is_noticed(assert_alert_fires, assert_alert_silent, assert_resolves):
    set_length("reports", 7)
    set_length("emails", 250)
    alert = assert_alert_fires("QueueTooLong", {"queue": "emails"}, within=120)
    assert "emails" in alert.annotations["summary"]
    assert_alert_silent("QueueTooLong", {"queue": "reports"}, seconds=2)

    set_length("emails", 0)
    assert_resolves("QueueTooLong", {"queue": "emails"}, within=120)


def test_a_wrong_name_is_told_at_once(assert_alert_fires):
    with pytest.raises(AssertionError, match="did you mean QueueTooLong"):
        assert_alert_fires("QueueToLong", within=120)


def test_a_backlog_that_nobody_notices_fails(assert_alert_fires):
    """Runs to its deadline where EXPECT_FAILURE is set: the assertion can fail."""
    if os.environ.get("EXPECT_FAILURE"):
        set_length("reports", 7)
        assert_alert_fires("QueueTooLong", {"queue": "reports"}, within=3)
