"""Injecting faults and healing them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.faults.context import Context, Log, Record, Value
from harness.faults.operations import OPERATIONS, undo
from harness.faults.table import NAMES, Fault, FaultError

if TYPE_CHECKING:
    from harness.stack import Stack


def inject(stack: Stack, name: str, **params: Value) -> Record:
    """Do a fault to a running stack; it stays until it is healed.

    `params` are the fault's parameters by name (see NAMES), as text or as values; the others keep their defaults.
    Returns what `heal` takes to undo this very fault. Raises FaultError for a fault or a parameter that does not
    exist, and undoes what was half done before it passes any other error on.
    """
    record = Record(name, chosen(name, params))
    context = Context(stack)
    try:
        try:
            context.log.add(record)
            OPERATIONS[name].do(context, record)
        except BaseException:
            undo(context, record)
            raise
        context.log.add(record)
    finally:
        context.close()
    return record


def heal(stack: Stack, name: str | Record | None = None) -> list[str]:
    """Undo one fault by its record, every fault of a name, or every fault, the latest first.

    Returns the names of what was undone. What cannot be undone does not keep the others from it; the first error
    is raised at the end.
    """
    if isinstance(name, str) and name not in NAMES:
        raise FaultError(_unknown(name))
    context = Context(stack)
    healed: list[str] = []
    errors: list[Exception] = []
    try:
        for record in reversed(context.log.read()):
            wanted = record.id == name.id if isinstance(name, Record) else name in {None, record.name}
            if not wanted:
                continue
            try:
                undo(context, record)
                healed.append(record.name)
            except Exception as error:
                errors.append(error)
    finally:
        context.close()
    if errors:
        raise errors[0]
    return healed


def active(stack: Stack) -> list[Record]:
    """The faults that were injected and not healed, oldest first."""
    return Log(stack.run / "faults.json").read()


@contextmanager
def applied(stack: Stack, name: str, **params: Value) -> Iterator[Record]:
    """A fault for the time of a block."""
    record = inject(stack, name, **params)
    try:
        yield record
    finally:
        heal(stack, record)


def chosen(name: str, params: dict[str, Value]) -> dict[str, Value]:
    """All parameters of a fault, those given and the defaults of the others, each in its type."""
    fault = NAMES.get(name)
    if fault is None:
        raise FaultError(_unknown(name))
    for given, value in params.items():
        if given not in fault.parameters:
            takes = ", ".join(fault.parameters) or "none"
            raise FaultError(f"{given}={value!r}: {name} has no such parameter; it takes {takes}")
    return {key: _typed(fault, key, params.get(key, p.default)) for key, p in fault.parameters.items()}


def _typed(fault: Fault, key: str, value: Value) -> Value:
    kind = type(fault.parameters[key].default)
    try:
        typed: Value = kind(value)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}.get(kind, "text")
        raise FaultError(f"{key}={value!r}: {wanted} is expected ({fault.parameters[key].meaning})") from None
    if not isinstance(typed, str) and typed < 0:
        raise FaultError(f"{key}={value!r}: a number from 0 on is expected ({fault.parameters[key].meaning})")
    return typed


def _unknown(name: str) -> str:
    return f"FAULT={name!r}: there is no such fault; the faults are {', '.join(sorted(NAMES))}"
