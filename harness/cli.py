"""The commands behind the Makefile. Settings come from the environment, where make puts `WAY=native` and the like."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from harness.commands import COMMANDS
from harness.errors import HarnessError
from harness.wait import DeadlineError

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit status: 2 for bad input, 1 for what did not work."""
    parser = argparse.ArgumentParser(prog="python -m harness", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        commands.add_parser(name, help=(function.__doc__ or "").partition("\n")[0])
    chosen = parser.parse_args(arguments)
    try:
        return COMMANDS[chosen.command]()
    except HarnessError as error:
        print(f"{chosen.command}: {error}", file=sys.stderr)
        return error.exit_status
    except DeadlineError as error:
        print(f"{chosen.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{chosen.command}: interrupted; `make down` ends what did start", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 1
