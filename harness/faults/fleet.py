"""Faults of workers, of the scheduler and of the exporter: programs that are killed, stopped, muted, or limited."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from harness.faults import tasks
from harness.faults.context import Context, Record, text
from harness.faults.table import FaultError
from harness.producer import TASK
from harness.settings import words
from harness.wait import Pending, until
from harness.worker_handle import WorkerHandle

_EXPORTER = "celery-exporter"
_BEAT = "beat"
_REPLY_SECONDS = 5.0
_TOLD_SECONDS = 60.0


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
    """SIGKILL to workers and their pools."""
    names = words(text(record.params, "worker"))
    for name in names:
        _known(context, name)
    context.log.add(record)
    for name in names:
        if extra := _extra(context, name):
            extra.kill()
        else:
            context.stack.kill(name)


def start_worker(context: Context, record: Record) -> None:
    """The workers are back, where they are still wanted."""
    for name in words(text(record.params, "worker")):
        if extra := _extra(context, name):
            extra.start()
        elif name in context.stack.services:
            context.stack.start_service(name)


def freeze_worker(context: Context, record: Record) -> None:
    """The worker's process stays and does nothing."""
    name = text(record.params, "worker")
    _known(context, name)
    context.log.add(record)
    if extra := _extra(context, name):
        extra.pause()
    else:
        context.stack.pause(name)


def thaw_worker(context: Context, record: Record) -> None:
    """The worker goes on."""
    name = text(record.params, "worker")
    if extra := _extra(context, name):
        extra.resume()
    elif name in context.stack.services:
        context.stack.resume(name)


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
    """Those that ran are back, all at once: with one alone, the queues of the others would have nobody."""
    extras = [_extra(context, name) for name in record.memo.get("extras", [])]
    starts: list[Callable[[], None]] = [
        partial(context.stack.start_service, service) for service in record.memo.get("services", [])
    ]
    starts += [extra.start for extra in extras if extra]
    with ThreadPoolExecutor() as pool:
        for start in [pool.submit(start) for start in starts]:
            start.result()


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


def start_unseen(context: Context, record: Record) -> None:
    """One more worker, which sends heartbeats and no task events.

    Remote control cannot do that to a running worker: where events are on by configuration, Celery takes the command
    to switch them off for done already.
    """
    name = text(record.params, "worker")
    record.memo["worker"] = name
    context.log.add(record)
    worker = context.stack.start_worker(
        name, [text(record.params, "queue")], pool="threads", command_extra=["worker_send_task_events=0"]
    )
    record.memo["node"] = worker.node


def remove_unseen(context: Context, record: Record) -> None:
    """That worker goes."""
    if extra := _extra(context, record.memo.get("worker", "")):
        extra.remove()


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
    """Tell workers something, again where it was not heard: a worker that has just started may not listen yet."""
    if not destination:
        return
    control = context.producer.app.control
    left = set(destination)

    def told() -> bool | Pending:
        answers = control.broadcast(
            command, arguments=arguments, destination=sorted(left), reply=True, timeout=_REPLY_SECONDS, limit=len(left)
        )
        heard = {node: reply for answer in answers or [] for node, reply in answer.items()}
        left.difference_update(node for node, reply in heard.items() if "ok" in reply)
        return not left or Pending(", ".join(f"{node}: {heard.get(node, 'no answer')}" for node in sorted(left)))

    until(told, f"{', '.join(destination)} to do {command}", _TOLD_SECONDS)
