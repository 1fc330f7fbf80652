"""What the harness tells a person when it cannot go on."""

from __future__ import annotations


class HarnessError(Exception):
    """Something did not work. The text is one clear line, or a line and the evidence below it."""

    exit_status = 1


class BadInputError(HarnessError):
    """A setting is wrong. The text names the setting, its value and what to write instead."""

    exit_status = 2
