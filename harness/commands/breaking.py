"""Breaking the running stack on purpose, mending it, and changing its load."""

from __future__ import annotations

import os

from harness import faults
from harness.commands.common import running, say, variable
from harness.errors import BadInputError
from harness.faults.context import Value

_LOAD = ("LOAD_RATE", "LOAD_SHAPE", "LOAD_TARGET")


def break_() -> int:
    """inject FAULT=name, with its parameters as further settings; without FAULT, list them"""
    name = variable("FAULT")
    if not name:
        _list()
        return 0
    stack = running()
    fault = faults.NAMES.get(name)
    given: dict[str, Value] = {
        key: value
        for key in (fault.parameters if fault else ())
        if (value := os.environ.get(key.upper(), os.environ.get(key, "")))
    }
    try:
        record = faults.inject(stack, name, **given)
    except faults.FaultError as error:
        raise BadInputError(str(error)) from None
    chosen = " ".join(f"{key.upper()}={value}" for key, value in record.params.items())
    say(f"{name} is on{': ' + chosen if chosen else ''}")
    say("watch the inbox (make urls); mend it with: make heal")
    return 0


def heal() -> int:
    """mend what was broken: all of it, or FAULT=name"""
    try:
        healed = faults.heal(running(), variable("FAULT") or None)
    except faults.FaultError as error:
        raise BadInputError(str(error)) from None
    say(f"healed {', '.join(healed)}" if healed else "nothing was broken")
    return 0


def load() -> int:
    """change the load: LOAD_RATE=orders a second, LOAD_SHAPE=steady|burst|backlog|ramp|day"""
    changes = {name: value for name in _LOAD if (value := os.environ.get(name)) is not None}
    if not changes:
        raise BadInputError("nothing to change: give LOAD_RATE=20, LOAD_SHAPE=burst or both")
    stack = running()
    stack.change("loadgen", changes)
    say(f"the load is {' '.join(f'{name}={value}' for name, value in changes.items())}; see {stack.address('loadgen')}")
    return 0


def _list() -> None:
    say("make break FAULT=name [PARAMETER=value ...]")
    for fault in faults.NAMES.values():
        say(f"  {fault.name:<15} {fault.sentence}")
        for key, parameter in fault.parameters.items():
            default = f"default {parameter.default}" if parameter.default != "" else "no default"
            say(f"  {'':<15}   {key.upper()}: {parameter.meaning} ({default})")
