"""What an image build needs to reach a package index from this machine's network.

A network may intercept TLS (then the build must trust its authority) or have a package index of its own.
Both are taken from the machine's settings and written into no tracked file.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.paths import ROOT

CERTS = ROOT / "certs"

#: Where distributions keep authorities that were added by the machine's owner.
_ADDED = (
    "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/source/anchors",
    "/etc/ca-certificates/trust-source/anchors",
)
#: Variables by which programs are pointed at a bundle of their own.
_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: The bundle of every distribution: what is in it without an addition, the images have as well.
_USUAL = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_INDEX_SETTINGS = {"PIP_INDEX_URL": "index-url", "PIP_EXTRA_INDEX_URL": "extra-index-url"}


def place(folder: Path = CERTS) -> list[Path]:
    """Makes ``machine-*.crt`` in `folder` the authorities that this machine has added; returns those files."""
    wanted = {f"machine-{hashlib.sha256(content).hexdigest()[:12]}.crt": content for content in _authorities()}
    for old in folder.glob("machine-*.crt"):
        if old.name not in wanted:
            old.unlink(missing_ok=True)
    for name, content in wanted.items():
        if not (folder / name).exists():
            temporary = folder / f".{name}-{os.getpid()}"
            temporary.write_bytes(content)
            temporary.chmod(0o644)
            temporary.replace(folder / name)
    return [folder / name for name in sorted(wanted)]


def index_settings() -> dict[str, str]:
    """The package index for image builds, as build arguments: from the environment, else from pip's own settings."""
    found = {}
    for variable, setting in _INDEX_SETTINGS.items():
        value = os.environ.get(variable) or _pip_setting(setting)
        if value:
            found[variable] = value
    return found


def _authorities() -> Iterator[bytes]:
    for folder in _ADDED:
        for path in sorted(Path(folder).rglob("*")):
            yield from _certificates(path)
    usual = {Path(path).resolve() for path in _USUAL}
    for variable in _VARIABLES:
        named = os.environ.get(variable)
        if named and Path(named).resolve() not in usual:
            yield from _certificates(Path(named))


def _certificates(path: Path) -> Iterator[bytes]:
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError:
        return
    if _BEGIN in content:
        yield content


def _pip_setting(name: str) -> str:
    command = [sys.executable, "-m", "pip", "config", "get", f"global.{name}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
