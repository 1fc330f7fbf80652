"""Chooses how a stack runs on this machine, and says which way and why in one line."""

from __future__ import annotations

import re

from harness import engine, standins
from harness.compose_v2 import ComposeMissingError
from harness.containers import Containers
from harness.errors import BadInputError, HarnessError
from harness.native import Native
from harness.way import Plan, Way

CHOICES = ("native", "stand-ins", "images", "compose")
#: Containers, of whichever images can be had.
ANY_CONTAINERS = "compose"
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")


def require_name(project: str) -> None:
    """Raise BadInputError for a project name that Compose would refuse."""
    if not _PROJECT.fullmatch(project):
        raise BadInputError(
            f"COMPOSE_PROJECT_NAME={project!r} cannot be a project's name: "
            "use lower-case letters, digits, - and _, a letter or digit first, 61 at most"
        )


def require_choice(choice: str) -> None:
    """Raise BadInputError for a WAY that is none."""
    if choice and choice not in CHOICES:
        raise BadInputError(
            f"WAY={choice!r} is no way to run the stack; write one of {', '.join(CHOICES)}, or leave it out"
        )


def choose(plan: Plan, choice: str = "") -> tuple[Way, str]:
    """The way and the line that says which and why. `choice` forces one; it is then an error if that cannot be.

    Raises BadInputError for a choice that is none, HarnessError for one that this machine cannot do.
    """
    require_choice(choice)
    if choice == "native":
        return Native(plan), _line(plan, "plain processes", "WAY=native")
    if refusal := engine.refusal():
        if choice:
            raise HarnessError(f"WAY={choice} needs a container engine, and {refusal}; WAY=native needs none")
        return Native(plan), _line(plan, "plain processes", refusal)
    try:
        if choice and choice != ANY_CONTAINERS:
            return Containers(plan, choice), _line(plan, _NAMES[choice], f"WAY={choice}")
        return _with_engine(plan)
    except ComposeMissingError as error:
        if choice:
            raise HarnessError(str(error)) from None
        return Native(plan), _line(plan, "plain processes", str(error))


_NAMES = {"images": "containers of the official images", "stand-ins": "containers of local stand-ins"}


def _with_engine(plan: Plan) -> tuple[Way, str]:
    stand_ins: list[str] = []
    missing: list[str] = []
    for image in Containers.official_images(plan):
        labels = engine.image_labels(image)
        if labels is None:
            missing.append(image)
        elif labels.get(standins.LABEL):
            stand_ins.append(image)
    if stand_ins:
        return Containers(plan, "stand-ins"), _line(plan, _NAMES["stand-ins"], "they were built here before")
    if not missing:
        return Containers(plan, "images"), _line(plan, _NAMES["images"], "the engine has them all")
    plan.say(f"asking the engine to pull {missing[0]}")
    if refusal := engine.pull(missing[0]):
        return Containers(plan, "stand-ins"), _line(
            plan, _NAMES["stand-ins"], f"{missing[0]} cannot be pulled: {refusal}"
        )
    return Containers(plan, "images"), _line(plan, _NAMES["images"], "an image registry answers")


def _line(plan: Plan, what: str, why: str) -> str:
    return f"{plan.project} runs as {what}: {why}"
