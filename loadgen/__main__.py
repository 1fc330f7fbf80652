"""`python -m loadgen [locust's own options]`: locust with the settings of the environment, checked.

`python -m loadgen --print` prints the command and runs nothing. Locust's own options, such as --csv and --html,
go after it unchanged.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from loadgen.settings import Settings
from workers.settings import SettingsError, refuse

LOCUSTFILE = Path(__file__).with_name("locustfile.py")

#: Seconds for users to finish what they are publishing before they are stopped.
STOP_TIMEOUT = 20


def command(settings: Settings, further: Sequence[str] = ()) -> list[str]:
    """The argument list that runs locust with these settings."""
    words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--stop-timeout", str(STOP_TIMEOUT)]
    if settings.role == "worker":
        return [
            *words, "--worker", "--master-host", settings.master_host,
            "--master-port", str(settings.master_port), *further,
        ]  # fmt: skip
    if settings.role == "master":
        words += ["--master", "--master-bind-host", settings.host, "--master-bind-port", str(settings.master_port)]
        words += ["--expect-workers", str(settings.expect_workers)]
    if settings.headless:
        words += ["--headless", "--only-summary"]
    else:
        words += ["--autostart", "--web-host", settings.host, "--web-port", str(settings.port)]
    return [*words, *further]


def main(arguments: Sequence[str]) -> None:
    """Become locust; does not return. Ends with status 2 on a bad setting."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        refuse(error)
    further = [word for word in arguments if word != "--print"]
    words = command(settings, further)
    print(shlex.join(words), flush=True)
    if "--print" not in arguments:
        os.execv(words[0], words)  # noqa: S606 - the program and its options are made above


if __name__ == "__main__":
    main(sys.argv[1:])
