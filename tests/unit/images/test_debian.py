"""Taking programs out of Debian's packages: against the archive that this machine's own apt sources name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import apt, debian
from harness.debian import DebianError, Depends

ROOT = Path(__file__).resolve().parents[3]


def test_a_package_is_unpacked_and_nothing_else_is_written(tmp_path: Path, shelf: Path) -> None:
    said: list[str] = []
    debian.unpack(["redis-tools"], tmp_path / "tree", depends=Depends.NONE, cache=shelf / "apt", progress=said.append)
    assert (tmp_path / "tree/usr/bin/redis-cli").is_file()
    assert not (tmp_path / "tree/usr/bin/redis-server").exists(), "that is of another package"
    assert any("fetching redis-tools" in line for line in said)
    assert not list((shelf / "apt").rglob("*.deb")), "the packages do not stay"
    assert {path.name for path in tmp_path.iterdir()} == {"tree"}


def test_a_package_that_is_not_there_is_one_line_that_names_it(tmp_path: Path, shelf: Path) -> None:
    with pytest.raises(DebianError) as caught:
        debian.unpack(["no-such-package-of-debian"], tmp_path / "tree", depends=Depends.NONE, cache=shelf / "apt")
    assert "no-such-package-of-debian" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "tree").exists()


def test_another_suite_is_reached_through_the_machines_own_mirror(shelf: Path) -> None:
    assert debian.candidate("no-such-package-of-debian", suite="forky", cache=shelf / "apt") is None
    version = debian.candidate("prometheus", suite="forky", cache=shelf / "apt")
    assert version is not None
    assert int(version.partition(":")[2].partition(".")[0] if ":" in version else version.partition(".")[0]) >= 3


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with the sources of the tests below instead of its own."""
    monkeypatch.delenv(apt.MIRROR_VARIABLE, raising=False)
    return monkeypatch


def sources(machine: pytest.MonkeyPatch, distribution: str, release: str, listing: list[str]) -> None:
    machine.setattr(apt, "release", lambda: (distribution, release))
    machine.setattr(apt, "run", lambda *_args, **_options: "".join(f"{line}\n" for line in listing))


def test_only_the_distributions_own_archives_are_read(machine: pytest.MonkeyPatch) -> None:
    sources(machine, "debian", "bookworm", [
        "http://mirror.example/debian/|bookworm|main", "http://mirror.example/debian/|bookworm|contrib",
        "http://mirror.example/security/|bookworm-security|main", "http://vendor.example/docker/|bookworm|stable",
        "http://vendor.example/node/|nodistro|main", "http://mirror.example/debian/|trixie|main",
        "http://mirror.example/debian/|bookworm-backports|main",
    ])  # fmt: skip
    assert [source.line() for source in debian.sources_for(None)] == [
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/security/ bookworm-security main",
    ]
    assert [source.line() for source in debian.sources_for("forky")] == ["deb http://mirror.example/debian/ forky main"]


def test_another_distribution_is_told_how_to_name_a_mirror_of_debian(machine: pytest.MonkeyPatch) -> None:
    listing = [f"http://mirror.example/ubuntu/|noble|{component}" for component in ("main", "universe", "multiverse")]
    sources(machine, "ubuntu", "noble", listing)
    assert [source.components for source in debian.sources_for(None)] == [("main", "universe")]
    with pytest.raises(DebianError, match=r"Debian forky .* set STACK_DEBIAN_MIRROR"):
        debian.sources_for("forky")
    machine.setenv(apt.MIRROR_VARIABLE, "http://mirror.example/debian/")
    assert [source.line() for source in debian.sources_for("forky")] == ["deb http://mirror.example/debian/ forky main"]


def test_a_machine_without_sources_is_told_so(machine: pytest.MonkeyPatch) -> None:
    sources(machine, "debian", "bookworm", [])
    with pytest.raises(DebianError, match="no source of debian bookworm"):
        debian.sources_for(None)


def test_a_machine_without_apt_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(apt, "_path", lambda: str(tmp_path))
    with pytest.raises(DebianError, match="apt-get is missing"):
        debian.unpack(["redis-tools"], tmp_path / "tree", cache=tmp_path / "apt")


def test_dependencies_of_another_release_are_never_mixed_with_the_machines(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="own release"):
        debian.unpack(["redis-tools"], tmp_path, suite="no-such-suite", depends=Depends.MISSING)


def test_a_root_folder_of_an_older_release_gets_its_links_into_usr(tmp_path: Path) -> None:
    (tmp_path / "lib/x86").mkdir(parents=True)
    (tmp_path / "lib/x86/libc.so").write_text("libc")
    (tmp_path / "usr/lib/x86").mkdir(parents=True)
    (tmp_path / "usr/lib/x86/libz.so").write_text("libz")
    debian._merge_usr(tmp_path)
    for name in ("bin", "sbin", "lib", "lib64"):
        assert os.readlink(tmp_path / name) == f"usr/{name}"
    assert {path.name for path in (tmp_path / "lib/x86").iterdir()} == {"libc.so", "libz.so"}


def test_the_lock_keeps_processes_apart(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    program = (
        "import sys; from pathlib import Path; from harness.debian import locked\n"
        "for _ in range(200):\n"
        f"    with locked(Path({str(tmp_path / 'lock')!r})):\n"
        f"        path = Path({str(count)!r}); path.write_text(str(int(path.read_text()) + 1))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert count.read_text() == "600"
