"""Breaking a running stack on purpose, and mending it.

A fault is a named operation that knows how to undo itself. What was broken is written down beside the stack's
other state, so that `make heal` in another shell, or a test's teardown after a crash, mends what is broken now.

    faults.inject(stack, "backlog", queue="payments", size=2000)
    faults.heal(stack, "backlog")      # or heal(stack): everything

    with faults.applied(stack, "broker-down"):
        ...
"""

from harness.faults.context import Record
from harness.faults.run import active, applied, heal, inject
from harness.faults.table import NAMES, Fault, FaultError, Parameter

__all__ = ["NAMES", "Fault", "FaultError", "Parameter", "Record", "active", "applied", "heal", "inject"]
