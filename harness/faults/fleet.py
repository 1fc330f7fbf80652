"""Faults of workers, of the scheduler and of the exporter: programs that are killed, stopped, muted, or limited."""

from __future__ import annotations

from harness.errors import HarnessError
from harness.faults import tasks
from harness.faults.context import Context, Record, text
from harness.faults.table import FaultError
from harness.producer import TASK
from harness.worker_handle import WorkerHandle

_EXPORTER = "celery-exporter"
_BEAT = "beat"
_REPLY_SECONDS = 10.0


def _services(context: Context) -> list[str]:
    """The services that are Celery workers, by their command."""
    model = context.stack.plan.model.services
    return [name for name in context.stack.services if {"celery", "worker"} <= set(model[name].command)]


def _extra(context: Context, name: str) -> WorkerHandle | None:
    return next((worker for worker in context.stack.workers() if worker.name == name), None)


def _known(context: Context, name: str) -> None:
    if name not in _services(context) and _extra(context, name) is None:
        names = [*_services(context), *(worker.name for worker in context.stack.workers())]
        raise FaultError(f"worker={name!r}: no such worker; the workers are {', '.join(names)}")


def nodes(context: Context, name: str) -> list[str]:
    """The Celery node names of a worker service's copies, or of an extra worker."""
    _known(context, name)
    if extra := _extra(context, name):
        return [extra.node]
    command = context.stack.plan.model.services[name].command
    template = command[command.index("-n") + 1]
    return [template.replace("%h", context.stack.way.node(copy)) for copy in context.stack.way.replicas(name)]


def kill_worker(context: Context, record: Record) -> None:
    """SIGKILL to a worker and its pool."""
    name = text(record.params, "worker")
    _known(context, name)
    context.log.add(record)
    if extra := _extra(context, name):
        extra.kill()
    else:
        context.stack.kill(name)


def start_worker(context: Context, record: Record) -> None:
    """The worker is back, where it is still wanted."""
    name = text(record.params, "worker")
    if extra := _extra(context, name):
        extra.start()
    elif name in context.stack.services:
        context.stack.start_service(name)


def stop_workers(context: Context, record: Record) -> None:
    """SIGTERM to every worker: each ends its tasks and says goodbye."""
    record.memo["extras"] = [worker.name for worker in context.stack.workers() if worker.alive()]
    record.memo["services"] = _services(context)
    context.log.add(record)
    for service in record.memo["services"]:
        context.stack.stop(service)
    for worker in context.stack.workers():
        worker.stop()


def start_workers(context: Context, record: Record) -> None:
    """Those that ran are back."""
    for service in record.memo.get("services", []):
        context.stack.start_service(service)
    for name in record.memo.get("extras", []):
        if extra := _extra(context, name):
            extra.start()


def kill_child(context: Context, record: Record) -> None:
    """SIGKILL to a pool process, once, or to each that starts a task in the scope."""
    name = text(record.params, "worker")
    if not name:
        tasks.kill_children(context, record)
        return
    _known(context, name)
    if extra := _extra(context, name):
        extra.kill_child()
    else:
        context.stack.kill_child(name)


def stop_exporter(context: Context, record: Record) -> None:
    """The exporter ends."""
    context.log.add(record)
    context.stack.stop(_EXPORTER)


def start_exporter(context: Context, record: Record) -> None:
    """The exporter is back."""
    context.stack.start_service(_EXPORTER)


def restart_exporter(context: Context, record: Record) -> None:
    """The exporter forgets the names that it has seen."""
    context.stack.restart(_EXPORTER)


def stop_beat(context: Context, record: Record) -> None:
    """The scheduler ends."""
    context.log.add(record)
    context.stack.stop(_BEAT)


def start_beat(context: Context, record: Record) -> None:
    """The scheduler is back."""
    context.stack.start_service(_BEAT)


def freeze_beat(context: Context, record: Record) -> None:
    """The scheduler's process stays and does nothing."""
    context.log.add(record)
    context.stack.pause(_BEAT)


def thaw_beat(context: Context, record: Record) -> None:
    """The scheduler goes on."""
    context.stack.resume(_BEAT)


def events_off(context: Context, record: Record) -> None:
    """The worker is told to send no more task events; its heartbeats go on."""
    record.memo["nodes"] = nodes(context, text(record.params, "worker"))
    context.log.add(record)
    _told(context, "disable_events", record.memo["nodes"])


def events_on(context: Context, record: Record) -> None:
    """The worker sends its events again."""
    _told(context, "enable_events", record.memo.get("nodes", []))


def limit_rate(context: Context, record: Record) -> None:
    """The worker may start one task of this kind an hour: it takes what its prefetch allows and sits on it."""
    name = text(record.params, "worker")
    record.memo["nodes"] = nodes(context, name)
    context.log.add(record)
    _told(context, "rate_limit", record.memo["nodes"], task_name=TASK, rate_limit="1/h")


def restart_worker(context: Context, record: Record) -> None:
    """The worker is restarted, which forgets the limit and gives back what it held."""
    name = text(record.params, "worker")
    if extra := _extra(context, name):
        extra.stop()
        extra.start()
    elif name in context.stack.services:
        context.stack.restart(name)


def _told(context: Context, command: str, destination: list[str], **arguments: str) -> None:
    """Tell workers something and insist that each heard it."""
    if not destination:
        return
    control = context.producer.app.control
    answers = control.broadcast(
        command,
        arguments=arguments,
        destination=destination,
        reply=True,
        timeout=_REPLY_SECONDS,
        limit=len(destination),
    )
    heard = {node: reply for answer in answers or [] for node, reply in answer.items()}
    for node in destination:
        if "ok" not in heard.get(node, {}):
            raise HarnessError(f"{node} did not do {command}: {heard.get(node, 'no answer')}")
