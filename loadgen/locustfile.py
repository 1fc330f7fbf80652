"""What locust loads: `locust -f loadgen/locustfile.py`. `python -m loadgen` runs it with checked settings."""

from __future__ import annotations

import logging
import os
from typing import Any

import gevent
from locust import LoadTestShape, events
from locust.runners import MasterRunner
from locust.stats import CSV_STATS_INTERVAL_SEC
from prometheus_client import start_http_server
from prometheus_client.exposition import choose_encoder

from loadgen import users
from loadgen.broker import Producer
from loadgen.follower import Follower
from loadgen.gateway import Orders
from loadgen.metrics import LocustCollector, registry
from loadgen.settings import Settings
from loadgen.shapes import SHAPES, base_users
from loadgen.shapes import users as wanted_users
from workers.settings import SettingsError, refuse

log = logging.getLogger("loadgen")

try:
    settings = Settings.from_environment(os.environ)
except SettingsError as error:
    refuse(error)

_environments: list[Any] = []


def _completed(name: str, seconds: float, error: Exception | None) -> None:
    for environment in _environments:
        users.fire(environment, users.COMPLETE, name, seconds, error)


if settings.target:
    follower = Follower(Orders(settings.target).outcomes, _completed, settings.result_timeout, settings.max_waiting)
    LoadUser = users.gateway_user(settings, follower)
else:
    producer = Producer()
    follower = Follower(producer.outcomes, _completed, settings.result_timeout, settings.max_waiting)
    LoadUser = users.queue_user(settings, producer, follower)


class Load(LoadTestShape):  # type: ignore[misc]
    """The shape that LOAD_SHAPE names, until LOAD_RUN_TIME."""

    def multiplier(self) -> float:
        """The multiple of LOAD_RATE that is due now."""
        return SHAPES[settings.shape].multiplier(self.get_run_time(), settings.cycle)

    def tick(self) -> tuple[int, float] | None:
        """How many users there should be now, and how many may start or stop in a second."""
        if settings.run_time and self.get_run_time() >= settings.run_time:
            return None
        # A hundred a second is as fast as locust starts users without warning that it may fall behind.
        return wanted_users(settings.rate, self.multiplier()), 100


def _prepare(environment: Any, **_: Any) -> None:
    _environments.append(environment)
    if not isinstance(environment.runner, MasterRunner):
        gevent.spawn(follower.run)
    if environment.parsed_options is not None and environment.parsed_options.worker:
        return  # the master tells of all

    def target_rate() -> float:
        share = settings.rate / base_users(settings.rate)
        return share * wanted_users(settings.rate, environment.shape_class.multiplier())

    series = registry(LocustCollector(environment, target_rate, lambda: (follower.waiting, follower.not_followed)))
    if environment.web_ui:

        def metrics() -> Any:
            from flask import request  # noqa: PLC0415 - locust brings it with its web page

            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
            return encode(series), 200, {"Content-Type": content_type}

        environment.web_ui.app.add_url_rule("/metrics", view_func=metrics)

    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.host, registry=series)


def _drain(environment: Any, **_: Any) -> None:
    if isinstance(environment.runner, MasterRunner):
        return
    left = follower.drain(settings.drain)
    if left:
        log.warning("%d tasks had no result %g s after the end of the load", left, settings.drain)
    if environment.parsed_options is not None and environment.parsed_options.csv_prefix:
        # Locust writes its CSV files on an interval and not at the end: what came last would be missing.
        gevent.sleep(CSV_STATS_INTERVAL_SEC + 0.1)


events.init.add_listener(_prepare)
events.test_stop.add_listener(_drain)
