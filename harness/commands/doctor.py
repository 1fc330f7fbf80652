"""What this machine can run, and what it lacks."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial

from harness import binaries, compose_model, engine, ports, settings
from harness.commands.common import say
from harness.compose_v2 import compose_command
from harness.errors import HarnessError
from harness.paths import ROOT

_NEEDED = ("redis-server", "redis-cli", "prometheus", "promtool", "alertmanager", "amtool")


def doctor() -> int:
    """say which ways to run are open on this machine, and which ports are taken"""
    say(f"python     {platform.python_version()}")
    refusal = engine.refusal()
    say(f"engine     {refusal or 'answers'}")
    if not refusal:
        say(f"compose    {_or_reason(lambda: ' '.join(compose_command()))}")
    bad = False
    for name in _NEEDED:
        found = _or_reason(partial(_found, name))
        bad |= found.startswith("missing") and bool(refusal)
        say(f"{name:<14} {found}")
    model = compose_model.read(ROOT / "compose.yaml", settings.load())
    for variable, port in ports.published(model.services).items():
        if not ports.is_free(port):
            say(f"port {port} is taken ({variable})")
    return 1 if bad else 0


def _found(name: str) -> str:
    tool = binaries.find(name)
    return f"{tool.version()} {tool.path}"


def _or_reason(content: Callable[[], str]) -> str:
    try:
        return content()
    except HarnessError as error:
        return f"missing: {error}"
