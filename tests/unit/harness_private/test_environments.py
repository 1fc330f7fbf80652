"""Environments of their own are made once, made anew for other pins, and never taken for made when they are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.environments import STAMP, Environment, InstallError, ensure


def test_made_once_and_anew_for_other_pins(tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("# nothing\n")
    environment = ensure(tmp_path / "env", [pins])
    prefix = subprocess.run(
        [str(environment.python), "-c", "import sys; print(sys.prefix)"],
        env=environment.environ(PYTHONPATH="/elsewhere"),
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert prefix.stdout.strip() == str(tmp_path / "env")
    mark = environment.path / "mark"
    mark.touch()
    assert ensure(tmp_path / "env", [pins]) == environment
    assert mark.exists()
    pins.write_text("# something else\n")
    ensure(tmp_path / "env", [pins])
    assert not mark.exists()


def test_what_cannot_be_installed_is_said_and_not_taken_for_made(tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("no requirement at all !\n")
    with pytest.raises(InstallError, match="no requirement at all") as failed:
        ensure(tmp_path / "env", [pins])
    assert str(tmp_path / "env") in str(failed.value)
    assert not (tmp_path / "env" / STAMP).exists()


def test_what_leads_to_other_packages_is_not_passed_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert "PYTHONPATH" not in Environment(tmp_path).environ()
    assert Environment(tmp_path).environ(BROKER="x")["BROKER"] == "x"
