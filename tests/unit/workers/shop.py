"""An application as an adopter writes it: two lines of instrumentation, and metrics of its own."""

import os
import signal
import time

from celery import Celery
from celery.worker.control import control_command

from workers.instrumentation import instrument
from workers.instrumentation.canary import add_canary, canary_schedule
from workers.json_logs import log_json
from workers.telemetry import span, trace

from prometheus_client import Counter, Gauge  # isort: skip

app = Celery("shop", broker=os.environ.get("BROKER_URL"), backend=os.environ.get("RESULT_BACKEND_URL"))
app.conf.update(
    task_serializer="json",
    worker_prefetch_multiplier=1,
    worker_send_task_events=True,
    task_send_sent_event=True,
    broker_connection_retry_on_startup=True,
    task_default_queue="default",
    task_routes={"slow.*": {"queue": "slow"}},
    beat_schedule=canary_schedule(("default", "slow"), 1.0),
    beat_max_loop_interval=2,
)
instrument(app)
trace(app)
log_json(app)
add_canary(app)

SOLD = Counter("shop_sold_total", "Things sold.")
OPEN_CARTS = Gauge("shop_open_carts", "Carts open in living processes.", multiprocess_mode="livesum")


@app.task
def add(a, b):
    SOLD.inc()
    with span("adding", kind="sum"):
        return a + b


@app.task
def fail():
    raise ValueError("no")


@app.task(bind=True, max_retries=5)
def flaky(self, times):
    if self.request.retries < times:
        raise self.retry(exc=ConnectionError("later"), countdown=0.2)
    return self.request.retries


@app.task(name="slow.nap")
def nap(seconds):
    time.sleep(seconds)


@app.task
def open_cart():
    OPEN_CARTS.set(1)
    return os.getpid()


@app.task
def die():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(time_limit=1)
def overrun():
    time.sleep(60)


@app.task
def never():
    pass


@control_command()
def lose_consumer(state):
    """The worker stops asking the broker for messages, and goes on as if nothing were wrong."""
    state.consumer.task_consumer.channel._brpop_start = lambda *_, **__: None


@control_command()
def cancel_all(state):
    """The worker stops consuming altogether."""
    state.consumer.task_consumer.cancel()


@control_command(args=[("seconds", float)])
def hang_loop(state, seconds):
    """The event loop does nothing for a while."""
    time.sleep(seconds)
