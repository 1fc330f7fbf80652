"""What an image build is given to get through this machine's network."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import ca

ROOT = Path(__file__).resolve().parents[3]
ONE = b"-----BEGIN CERTIFICATE-----\none\n-----END CERTIFICATE-----\n"
TWO = ONE.replace(b"one", b"two")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a machine's added authorities, with nothing else set."""
    added = tmp_path / "added"
    added.mkdir()
    monkeypatch.setattr(ca, "_ADDED", (str(added), str(tmp_path / "never-there")))
    for name in (*ca._VARIABLES, *ca._INDEX_SETTINGS):
        monkeypatch.delenv(name, raising=False)
    return added


def test_an_ordinary_machine_adds_nothing(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", ca._USUAL[0])
    certs = tmp_path / "certs"
    certs.mkdir()
    assert ca.place(certs) == []
    assert list(certs.iterdir()) == []


def test_added_authorities_follow_the_machine_and_the_users_own_stay(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "mine.crt").write_bytes(ONE)
    (machine / "company.crt").write_bytes(ONE)
    (machine / "notes.txt").write_text("no certificate")
    (tmp_path / "bundle.pem").write_bytes(TWO)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    placed = ca.place(certs)
    assert sorted(path.read_bytes() for path in placed) == sorted([ONE, TWO])
    assert all(path.match("machine-*.crt") and path.stat().st_mode & 0o444 == 0o444 for path in placed)
    assert ca.place(certs) == placed
    (machine / "company.crt").unlink()
    assert [path.read_bytes() for path in ca.place(certs)] == [TWO]
    assert (certs / "mine.crt").exists()


def test_what_is_placed_is_never_committed() -> None:
    assert (ROOT / "certs/.gitignore").read_text().split() == ["*", "!README.md", "!.gitignore"]


def test_the_package_index_comes_from_the_environment_else_from_pip(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ca, "_pip_setting", {"index-url": "https://of-pip.example/simple"}.get)
    assert ca.index_settings() == {"PIP_INDEX_URL": "https://of-pip.example/simple"}
    monkeypatch.setenv("PIP_INDEX_URL", "https://of-the-caller.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://more.example/simple")
    assert ca.index_settings() == {
        "PIP_INDEX_URL": "https://of-the-caller.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://more.example/simple",
    }
