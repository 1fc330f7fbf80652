"""Looking at a running stack."""

from __future__ import annotations

from harness import settings
from harness.commands.common import running, say, variable
from harness.errors import HarnessError
from harness.paths import SECRETS
from harness.stack import Stack

_PAGES = {
    "grafana": "dashboards (user admin, password in {secrets}/grafana_admin_password)",
    "prometheus": "metrics, targets, rules, alerts",
    "alertmanager": "routes, silences",
    "inbox": "what fired and what cleared",
    "loadgen": "the load: rate, shape, completion times",
    "celery-exporter": "the exporter (/metrics)",
    "gateway": "the HTTP gateway",
    "flower": "tasks and workers (user admin, password in {secrets}/flower_password)",
    "jaeger": "traces",
}
_PATHS = {"celery-exporter": "/metrics"}


def status() -> int:
    """say of every part whether it is healthy; exit status 1 if one is not"""
    stack = running()
    say(f"{stack.project} runs as {stack.kind}")
    bad = 0
    for replica, condition in stack.status():
        bad += not condition.healthy
        say(f"  {replica.name:<20} {condition.state:<10} {condition.detail}".rstrip())
    return 1 if bad else 0


def logs() -> int:
    """print the last lines of every part, or of SERVICE=name; LINES=n says how many"""
    stack = running()
    lines = int(settings.number(settings.load(), "LINES", 50, 1))
    chosen = settings.words(variable("SERVICE")) or stack.services
    for name in chosen:
        for line in stack.logs(name, lines=lines).splitlines():
            say(f"{name:<16} | {line}")
    return 0


def urls() -> int:
    """print the addresses of the running stack"""
    print_urls(running())
    return 0


def print_urls(stack: Stack) -> None:
    """The addresses, each with what is there."""
    secrets = stack.plan.settings.get("SECRETS_DIR") or str(SECRETS)
    for name in [page for page in _PAGES if page in stack.services]:
        try:
            address = stack.address(name)
        except HarnessError:  # it is known and does not run
            continue
        say(f"  {address + _PATHS.get(name, ''):<32} {name}: {_PAGES[name].format(secrets=secrets)}")
