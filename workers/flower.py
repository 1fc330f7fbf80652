"""Flower over the stack's broker, behind a password and under a URL prefix: `python -m workers.flower`.

Reads BROKER_URL and BROKER_PASSWORD_FILE as the rest of the application does, and FLOWER_PASSWORD_FILE (the
password of the user `admin`), FLOWER_HOST, FLOWER_PORT and FLOWER_URL_PREFIX. Every option of Flower's own can be
set as it documents, by a FLOWER_ variable.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping

from celery import Celery

from workers.settings import SettingsError, broker_url, number, refuse, secret

USER = "admin"


def options(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings as the variables that Flower reads. Raises SettingsError for one that cannot be used."""
    password = secret(environ, "FLOWER_PASSWORD_FILE")
    if password is None:
        raise SettingsError("FLOWER_PASSWORD_FILE", "", "name a file that holds the password; Flower never runs open")
    prefix = environ.get("FLOWER_URL_PREFIX", "flower").strip("/")
    if not re.fullmatch(r"[A-Za-z0-9._~-]*", prefix):
        raise SettingsError("FLOWER_URL_PREFIX", prefix, "write one path segment, such as flower")
    return {
        "FLOWER_BASIC_AUTH": f"{USER}:{password}",
        "FLOWER_ADDRESS": environ.get("FLOWER_HOST", "").strip() or "127.0.0.1",
        "FLOWER_PORT": str(int(number(environ, "FLOWER_PORT", 5555, 1, 65535))),
        "FLOWER_URL_PREFIX": prefix,
    }


def main() -> None:
    """Run Flower until it is told to stop; exit status 2 for a setting that cannot be used."""
    try:
        chosen = options(os.environ)
        url = broker_url(
            os.environ, "BROKER_URL", "redis://127.0.0.1:6379/0", secret(os.environ, "BROKER_PASSWORD_FILE")
        )
    except SettingsError as error:
        refuse(error)
    # By the environment and not by arguments: those can be read by every user of the machine.
    # Celery's command line reads BROKER_URL as well and prefers it: it gets the address with the password.
    os.environ.update(chosen, BROKER_URL=url)
    app = Celery("flower", broker=url)
    app.conf.update(accept_content=["json"], broker_connection_retry_on_startup=True)
    sys.argv = ["celery", "flower"]
    app.start(argv=["flower"])


if __name__ == "__main__":
    main()
