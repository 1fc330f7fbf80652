"""Starting and ending the stack."""

from __future__ import annotations

import shutil

from harness import leftovers, settings, ways
from harness import secrets as secret_files
from harness.commands.common import say, variable
from harness.commands.looking import print_urls
from harness.commands.observing import observed
from harness.paths import EVIDENCE, SECRETS
from harness.stack import START_SECONDS, Stack


def up() -> int:
    """start the stack and wait until every part is healthy"""
    ways.require_choice(variable("WAY"))
    factor = int(settings.number(settings.load(), "CLOCK", 1, 1))
    timeout = settings.number(settings.load(), "UP_SECONDS", START_SECONDS, 1)
    stack = Stack(variable("WAY"), profiles=settings.words(variable("PROFILES")), factor=factor, say=say)
    stack.start(timeout)
    print_urls(stack)
    return 0


def observe() -> int:
    """start only the observing half, against the broker that BROKER_URL names"""
    stack = observed(say)
    stack.start(settings.number(settings.load(), "UP_SECONDS", START_SECONDS, 1))
    print_urls(stack)
    return 0


def down() -> int:
    """end the stack; its data stays for the next start"""
    return _end(volumes=False)


def clean() -> int:
    """end the stack and delete its data, and the evidence of failed tests"""
    status = _end(volumes=True)
    shutil.rmtree(EVIDENCE, ignore_errors=True)
    return status


def secrets() -> int:
    """make the passwords that are not there yet, and say where they are"""
    say(f"passwords are in {secret_files.ensure(SECRETS)}")
    return 0


def _end(*, volumes: bool) -> int:
    name = variable("COMPOSE_PROJECT_NAME", "celery-stack")
    ways.require_name(name)
    ended = False
    for project in (name, f"{name}-observe"):
        stack = Stack.attach(project)
        if stack:
            say(f"ending {project}")
            stack.down(volumes)
            ended = True
        if volumes:
            leftovers.remove(project)
    say(f"{name} is down" if ended else f"no stack named {name} runs from this checkout")
    return 0
