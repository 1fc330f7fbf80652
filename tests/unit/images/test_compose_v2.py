"""Which Compose is used: the machine's, or one fetched into the checkout."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness import debian
from harness.compose_v2 import ComposeMissingError, compose_command


def docker(folder: Path, says: str, status: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "docker"
    path.write_text(f'#!/bin/sh\n[ "$1" = compose ] || exit 9\necho "{says}"\nexit {status}\n')
    path.chmod(0o755)


def test_the_plugin_of_the_machine_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker(tmp_path / "bin", "2.29.1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert compose_command(folder=tmp_path / "state") == [str(tmp_path / "bin/docker"), "compose"]
    assert not (tmp_path / "state").exists()


def test_without_a_plugin_one_is_fetched_and_does_as_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker(tmp_path / "bin", "unknown command: docker compose", 1)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin:/bin")
    command = compose_command(folder=tmp_path / "state")
    assert command == [str(tmp_path / "state/docker"), "compose"]
    said = subprocess.run([*command, "version", "--short"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("2.")
    other = subprocess.run([command[0], "ps"], capture_output=True, text=True, check=False)
    assert other.returncode == 9, "every other word goes to the machine's own docker"
    listing = sorted(path.name for path in (tmp_path / "state").iterdir())
    assert listing == [".lock", "docker", "docker-compose"]


@pytest.mark.parametrize(
    ("says", "status", "told"), [("2.1.0", 0, "is version 2.1.0"), ("no such command", 1, "is not there")]
)
def test_where_none_can_be_fetched_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, status: int, told: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise debian.DebianError("no network here")

    monkeypatch.setattr(debian, "unpack", refuse)
    docker(tmp_path / "bin", says, status)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ComposeMissingError) as caught:
        compose_command(folder=tmp_path / "state")
    message = str(caught.value)
    assert told in message
    assert "no network here" in message
    assert "install Docker's Compose plugin 2.20 or later" in message
    assert "\n" not in message
