"""The command line: upstream's options and ``CE_`` variables, and those of this exporter's own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from exporter import config
from exporter.config import SettingError, Settings
from exporter.redact import Redactor

PROGRAM = "celery-exporter"
EXIT_BAD_SETTING = 2


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


_multiple: dict[str, Any] = {"multiple": True, "metavar": "KEY=VALUE"}


@click.command(
    context_settings={"auto_envvar_prefix": "CE", "help_option_names": ["-h", "--help"], "show_default": True},
    help="Export what a Celery fleet does to Prometheus. Every option can be given as a variable: --broker-url as "
    "CE_BROKER_URL, and so on.",
)
@click.option("--broker-url", required=True, help="Broker, like redis://host:6379/0; several with ; between them.")
@click.option("--broker-password-file", metavar="FILE", help="File with the broker's password, if the URL has none.")
@click.option("--broker-transport-option", **_multiple, help="The fleet's broker_transport_options, one each.")
@click.option("--broker-ssl-option", **_multiple, help="The fleet's broker_use_ssl, one each: ssl_ca_certs=/ca.pem")
@click.option("--accept-content", default="json", help="Content types of events to accept, comma separated.")
@click.option("--retry-interval", default=0.0, help="Longest pause before the broker is tried again, seconds; 0: 0.5.")
@click.option("--host", default="0.0.0.0", help="Address to listen on.")  # noqa: S104
@click.option("--port", default=9808, help="Port to listen on; 0 takes a free one and logs it.")
@click.option(
    "--buckets", default=",".join(map(str, config.DEFAULT_BUCKETS)), help="Histogram bounds of the run time, seconds."
)
@click.option(
    "--queue-wait-buckets",
    default=",".join(map(str, config.DEFAULT_WAIT_BUCKETS)),
    help="Histogram bounds of the wait in the queue, seconds.",
)
@click.option(
    "--log-level",
    default="INFO",
    type=click.Choice(["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"], case_sensitive=False),
)
@click.option(
    "--worker-timeout",
    type=float,
    help="Seconds of silence after which a worker is lost; 0: never. Without it, --missed-heartbeats of its own.",
)
@click.option("--missed-heartbeats", default=5, help="Heartbeats in a row that a lost worker has missed.")
@click.option(
    "--purge-offline-worker-metrics",
    default=600.0,
    help="Seconds that the series of a stopped worker stay (a lost one's three times as long); 0: for ever.",
)
@click.option("--generic-hostname-task-sent-metric", is_flag=True, help="hostname=generic on task_sent_total.")
@click.option("--generic-hostname-worker-task-metric", is_flag=True, help="hostname=generic on the other task series.")
@click.option("-Q", "--queues", help="Queues to report from the start, comma separated; others as they are seen.")
@click.option("--default-queue-name", default="celery", help="Queue of tasks of which nothing says where they were.")
@click.option("--metric-prefix", default="celery_", help="Begins the name of every metric.")
@click.option("--static-label", **_multiple, help="Label with a fixed value on every series.")
@click.option("--task-hostname", is_flag=True, help="Put a hostname label on task series, as upstream does.")
@click.option("--max-series", default=5000, help="Label sets that one metric may have at most.")
@click.option("--max-tasks", default=200_000, help="Unfinished tasks that are remembered at most.")
@click.option("--task-ttl", default=86_400.0, help="Seconds after which an unfinished task is forgotten.")
@click.option("--late-sent-grace", default=2.0, help="Seconds to wait for the task-sent event of a task.")
@click.option("--queue-interval", default=5.0, help="Seconds between looks at the queues.")
@click.option("--inspect-interval", default=60.0, help="Seconds between questions to the workers.")
@click.option("--inspect-timeout", default=1.0, help="Seconds to wait for their answers.")
@click.option("--event-buffer-megabytes", default=24, help="Unread events that are kept in a flood.")
@click.option("--event-exchange", default="celeryev", help="The fleet's event_exchange.")
@click.option("--control-exchange", default="celery", help="The fleet's control_exchange.")
@click.option("--management-url", help="RabbitMQ's management API, like http://user:password@host:15672.")
@click.option("--redbeat-redis-url", hidden=True)
@click.option("--redbeat-redis-use-ssl", hidden=True)
@click.option("--redbeat-key-prefix", hidden=True)
@click.option("--redbeat-sentinel", multiple=True, hidden=True)
@click.option("--redbeat-redis-option", multiple=True, hidden=True)
def command(**given: Any) -> Settings:
    """Turn options into settings; click has read the variables already."""
    file = given["broker_password_file"]
    transport = config.key_values("--broker-transport-option", given["broker_transport_option"])
    ssl = config.key_values("--broker-ssl-option", given["broker_ssl_option"])
    return config.checked(
        Settings(
            broker_url=given["broker_url"].strip(),
            broker_password=config.read_password(file) if file else None,
            transport_options={key: config.option_value(value) for key, value in transport.items()},
            ssl_options={key: config.option_value(value) for key, value in ssl.items()},
            accept_content=_listed(given["accept_content"]) or ("json",),
            buckets=config.buckets("--buckets", given["buckets"]),
            wait_buckets=config.buckets("--queue-wait-buckets", given["queue_wait_buckets"]),
            queues=_listed(given["queues"]),
            static_labels=config.key_values("--static-label", given["static_label"]),
            **{
                name: given[name]
                for name in (
                    "retry_interval", "host", "port", "log_level", "worker_timeout", "missed_heartbeats",
                    "purge_offline_worker_metrics", "generic_hostname_task_sent_metric",
                    "generic_hostname_worker_task_metric", "default_queue_name", "metric_prefix", "task_hostname",
                    "max_series", "max_tasks", "task_ttl", "late_sent_grace", "queue_interval", "inspect_interval",
                    "inspect_timeout", "event_buffer_megabytes", "event_exchange", "control_exchange",
                    "management_url",
                )
            },
        )
    )  # fmt: skip


def parse(arguments: Sequence[str] | None = None) -> Settings | None:
    """Return the settings that the command line and the environment give; None when only help was asked for.

    :raises SettingError: a setting cannot be used.
    """
    try:
        result = command.main(
            args=list(arguments) if arguments is not None else None, prog_name=PROGRAM, standalone_mode=False
        )
    except click.ClickException as error:
        raise SettingError(" ".join(error.format_message().split()).rstrip(".") + f"; see {PROGRAM} --help") from None
    except click.Abort:
        return None
    return result if isinstance(result, Settings) else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the exporter until it is told to stop; a setting that cannot be used ends it with one line and status 2."""
    try:
        settings = parse(arguments)
    except SettingError as error:
        print(f"{PROGRAM}: {Redactor(os.environ.get('CE_BROKER_URL'))(error)}", file=sys.stderr)
        raise SystemExit(EXIT_BAD_SETTING) from None
    if settings is None:
        raise SystemExit(0)
    from exporter.app import run  # noqa: PLC0415  (nothing heavy is loaded for --help or a mistake)

    raise SystemExit(run(settings))
