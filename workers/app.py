"""The sample Celery application: ``celery -A workers.app worker``."""

from __future__ import annotations

import os

from celery import Celery

# Before anything that defines a metric: it decides where the processes of this node share theirs.
from workers.instrumentation import instrument  # isort: skip
from workers.catalogue import QUEUES, routes
from workers.json_logs import log_json
from workers.pipeline_task import PipelineTask
from workers.schedule import beat_schedule
from workers.settings import Settings, SettingsError, refuse
from workers.telemetry import trace

try:
    settings = Settings.from_environment(os.environ)
except SettingsError as error:
    refuse(error)

# Celery's command line reads BROKER_URL too, hands it on in this variable, which wins over `broker_url`, and knows
# nothing of the password's file.
os.environ.pop("CELERY_BROKER_URL", None)

app = Celery("pipeline", task_cls=PipelineTask, include=["workers.tasks"])
app.conf.update(
    broker_url=settings.broker_url,
    result_backend=settings.result_backend_url,
    result_expires=settings.result_expires,
    # JSON only: a message can be read by anybody and can run nothing.
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    enable_utc=True,
    timezone="UTC",
    task_routes=routes(),
    task_default_queue=QUEUES[0],
    # A worker holds no more than it runs, so that the queue's length is the backlog and any free worker can take it.
    worker_prefetch_multiplier=1,
    # Without these two the exporter is blind.
    worker_send_task_events=True,
    task_send_sent_event=True,
    # A task that stops another's acknowledgement is worse than a task that runs twice: each step is idempotent.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # A message not acknowledged for this long is delivered again. Longer than the longest ETA plus time limit.
    broker_transport_options={"visibility_timeout": settings.visibility_timeout},
    result_backend_transport_options={"visibility_timeout": settings.visibility_timeout},
    broker_connection_retry_on_startup=True,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=True,
    worker_max_tasks_per_child=1000,
    beat_schedule=beat_schedule(settings.canary_interval),
    # Beat wakes this often even with nothing due, so that a tick that does not come says that it hangs.
    beat_max_loop_interval=5,
)
instrument(app)
trace(app)
log_json(app)
