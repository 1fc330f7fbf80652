"""An application with one task that does nothing, with the parts that OVERHEAD_PARTS names switched on."""

import os

from celery import Celery

PARTS = os.environ.get("OVERHEAD_PARTS", "").split(",")

app = Celery("overhead", broker=os.environ["BROKER_URL"])
app.conf.update(
    task_serializer="json",
    task_ignore_result=True,
    worker_send_task_events="events" in PARTS,
    task_default_queue=os.environ["OVERHEAD_QUEUE"],
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
)

if "metrics" in PARTS:
    from workers.instrumentation import instrument

    instrument(app)
if "traces" in PARTS:
    from workers.telemetry import trace

    trace(app)


@app.task(name="nothing")
def nothing() -> None:
    pass
