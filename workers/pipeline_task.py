"""What every task of the sample application does before its own work: faults and the poison-pill guard."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery import Task

from workers.faults import Faults
from workers.quarantine import guard

if TYPE_CHECKING:
    from redis import Redis

#: A fault or a count that cannot be read in this many seconds is done without.
REDIS_TIMEOUT_SECONDS = 2.0


class Control:
    """The application's own connection to the broker's Redis, one for a process, made on first use."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def redis(self) -> Redis:
        """A client that answers in text."""
        from redis import Redis  # noqa: PLC0415 - a producer never needs it

        client: Redis = Redis.from_url(
            self._url,
            decode_responses=True,
            socket_timeout=REDIS_TIMEOUT_SECONDS,
            socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
        )
        return client

    @cached_property
    def faults(self) -> Faults:
        """The faults as this process sees them."""
        return Faults(self.redis)


class PipelineTask(Task):  # type: ignore[misc]
    """Base class of the sample's tasks. Called as a plain function it adds nothing."""

    abstract = True
    _control: Control | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.request.id is not None and not self.request.called_directly and not self.request.is_eager:
            control = self.control()
            guard(control.redis, self, _settings().redelivery_limit, _count_quarantined)
            control.faults.apply(self, (self.request.delivery_info or {}).get("routing_key") or "")
        return super().__call__(*args, **kwargs)

    @classmethod
    def control(cls) -> Control:
        """The connection shared by all tasks of this process."""
        if PipelineTask._control is None:
            PipelineTask._control = Control(_settings().broker_url)
        return PipelineTask._control


def _settings() -> Any:
    from workers.app import settings  # noqa: PLC0415 - the application imports this module

    return settings


def _count_quarantined(task: Any) -> None:
    from workers.instrumentation.hooks import series  # noqa: PLC0415 - only where a message is set aside

    counted = series()
    if counted is not None:
        counted.quarantined(task, task.request.delivery_info)
