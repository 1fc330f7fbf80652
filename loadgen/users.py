"""The users of the load generator: one publishes tasks, one posts orders to the gateway."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import gevent
from locust import FastHttpUser, User, constant_throughput

from loadgen.broker import WHOLE_ORDER, Producer
from loadgen.follower import Follower
from loadgen.gateway import TIMEOUT, order
from loadgen.settings import Settings
from loadgen.shapes import base_users

PUBLISH, COMPLETE = "publish", "complete"


def _spread(seconds: float) -> None:
    # Users that start together would publish together for ever.
    gevent.sleep(random.uniform(0, seconds))  # noqa: S311


def queue_user(settings: Settings, producer: Producer, follower: Follower) -> type[User]:
    """The class of users that publish tasks, at a constant rate each whatever becomes of the tasks."""
    every = base_users(settings.rate) / settings.rate

    class QueueUser(User):  # type: ignore[misc]
        """Publishes one task at a time and leaves waiting for the result to the follower."""

        wait_time = constant_throughput(1 / every)
        tasks = {_publishes(name, producer, follower): weight for name, weight in settings.mix}  # noqa: RUF012

        def on_start(self) -> None:
            """Begin at a moment of its own."""
            _spread(every)

    return QueueUser


def _publishes(name: str, producer: Producer, follower: Follower) -> Callable[[Any], None]:
    followed = producer.has_result(name)

    def publish(user: Any) -> None:
        started = time.monotonic()
        failure: Exception | None = None
        try:
            task_id = producer.publish(name)
        except Exception as error:
            # Whatever keeps a task from being published is a failed request, not the end of the user.
            failure = error
        took = time.monotonic() - started
        fire(user.environment, PUBLISH, name, took, failure)
        if failure is None and followed:
            follower.follow(task_id, name, started)

    publish.__name__ = name
    return publish


def gateway_user(settings: Settings, follower: Follower) -> type[User]:
    """The class of users that post orders, at a constant rate each whatever becomes of the orders."""
    every = base_users(settings.rate) / settings.rate

    def post(user: Any) -> None:
        started = time.monotonic()
        with user.client.post("/orders", json=order(), catch_response=True, name="/orders") as answer:
            if answer.status_code == 503:
                answer.failure("503: the gateway does not accept orders now")
            elif answer.ok:
                follower.follow(str(answer.json()["task_id"]), WHOLE_ORDER, started)

    class GatewayUser(FastHttpUser):  # type: ignore[misc]
        """Posts one order at a time."""

        host = settings.target
        connection_timeout = network_timeout = TIMEOUT
        wait_time = constant_throughput(1 / every)
        tasks = [post]  # noqa: RUF012

        def on_start(self) -> None:
            """Begin at a moment of its own."""
            _spread(every)

    return GatewayUser


def fire(environment: Any, step: str, name: str, seconds: float, error: Exception | None) -> None:
    """Report something that took a time as one request to locust."""
    environment.events.request.fire(
        request_type=step,
        name=name,
        response_time=seconds * 1000,
        response_length=0,
        response=None,
        context={},
        exception=error,
    )
