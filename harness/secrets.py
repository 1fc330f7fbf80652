"""The stack's secrets: random, made on first use, in files that git ignores.

The folder is for its owner alone; the files in it are readable, because a container's process reads its
file under another user id once it is mounted.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from harness.paths import SECRETS

PASSWORDS = ("redis_password", "grafana_admin_password", "flower_password")
REDIS_AUTH = "redis_auth.conf"
#: Secrets of Alertmanager's receivers, put there by hand.
RECEIVERS = "alertmanager"
_BYTES = 16


def ensure(folder: Path = SECRETS) -> Path:
    """Make the secrets that are not there yet; those that are stay as they are. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in PASSWORDS:
        _write_once(folder / name, secrets.token_hex(_BYTES))
    (folder / RECEIVERS).mkdir(exist_ok=True)
    _write_once(folder / REDIS_AUTH, f"requirepass {read('redis_password', folder)}\n")
    return folder


def read(name: str, folder: Path = SECRETS) -> str:
    """One secret. Raises OSError where it has not been made."""
    return (folder / name).read_text(encoding="utf-8").strip()


def write(path: Path, value: str) -> None:
    """Put a secret into a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(value, encoding="utf-8")
    temporary.chmod(0o644)
    temporary.replace(path)


def _write_once(path: Path, value: str) -> None:
    if not path.exists():
        write(path, value)
