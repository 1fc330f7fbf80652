"""Server programs: found on PATH, or unpacked from Debian's packages by anyone, at once and only once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import binaries, debian
from harness.binaries import BinaryMissingError, Tool, find
from harness.binary_table import PROGRAMS
from harness.wait import until

ROOT = Path(__file__).resolve().parents[3]
FETCH_SECONDS = 240
AM_CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"

FETCH = """
import os, sys
from pathlib import Path
from harness.binaries import find
from harness.errors import HarnessError
folder, *names = sys.argv[1:]
for name in names:
    try:
        tool = find(name, folder=Path(folder))
    except HarnessError as error:
        sys.exit(str(error))
    print(name, tool.version(), tool.path)
"""


def fetch(folder: Path, *names: str, **options: object) -> subprocess.Popen[str]:
    """Another process that finds the programs with nothing on its PATH."""
    command = [sys.executable, "-c", FETCH, str(folder), *names]
    environment = {**os.environ, "PATH": str(folder / "nothing-here")}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def program(folder: Path, name: str, says: str, status: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def unfetchable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise debian.DebianError("no network here")

    monkeypatch.setattr(debian, "unpack", refuse)
    monkeypatch.setattr(debian, "candidate", refuse)


def test_several_processes_at_once_get_one_working_copy(shelf: Path) -> None:
    started = [fetch(shelf / "several", "redis-server", "redis-cli", "redis-sentinel") for _ in range(3)]
    ended = [(*process.communicate(timeout=FETCH_SECONDS), process.returncode) for process in started]
    assert [status for _, _, status in ended] == [0, 0, 0], ended
    assert len({out for out, _, _ in ended}) == 1
    assert sum("fetching redis-server" in err for _, err, _ in ended) == 1, "one fetches, the others wait"
    assert [path.name.partition("-")[0] for path in (shelf / "several/trees").iterdir()] == ["redis"]
    linked = shelf / "elsewhere"
    linked.symlink_to(shelf / "several" / "redis-cli")
    assert "redis-cli" in subprocess.run([linked, "--version"], capture_output=True, text=True, check=True).stdout
    moved = shelf / "moved"
    (shelf / "several").rename(moved)
    assert subprocess.run([moved / "redis-server", "--version"], check=False).returncode == 0, "the folder can move"


@pytest.mark.skipif(os.geteuid() != 0, reason="whoever is not root already runs all of this as an ordinary user")
def test_an_ordinary_user_can_unpack_and_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = Path("/tmp").resolve() / f"celery-stack-{os.getpid()}"
    folder.mkdir(mode=0o700)
    try:
        os.chown(folder, 65534, 65534)
        # A copy: an ordinary user need not be able to read this checkout, or this interpreter's environment.
        shutil.copytree(ROOT / "harness", folder / "harness", ignore=shutil.ignore_patterns("__pycache__"))
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", f"HOME={folder}",
                   "PATH=/usr/bin:/bin", "/usr/bin/env", "python3", "-m", "harness.binaries", "redis-cli"]  # fmt: skip
        if shutil.which("python3", path="/usr/bin:/bin") is None:
            command[-4:-3] = [sys.executable]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS,
                              stdin=subprocess.DEVNULL)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("redis-cli ")
        written = [path for path in folder.rglob("*") if "harness" not in path.parts and not path.is_symlink()]
        assert {path.stat().st_uid for path in written} == {65534}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_debians_alertmanager_finds_its_templates_wherever_it_was_unpacked(
    shelf: Path, tmp_path: Path, free_port: int
) -> None:
    fetching = fetch(shelf / "alertmanager", "alertmanager", "amtool")
    out, err = fetching.communicate(timeout=FETCH_SECONDS)
    assert fetching.returncode == 0, err
    (tmp_path / "am.yml").write_text(AM_CONFIG)
    listen = [f"--web.listen-address=127.0.0.1:{free_port}", "--cluster.listen-address="]
    command = [out.splitlines()[0].split()[2], "--config.file=am.yml", "--storage.path=data", *listen]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        amtool = [out.splitlines()[1].split()[2], f"--alertmanager.url=http://127.0.0.1:{free_port}", "config", "show"]

        def answers() -> bool:
            assert server.poll() is None, (tmp_path / "log").read_text()
            return subprocess.run(amtool, capture_output=True, check=False).returncode == 0

        until(answers, "Alertmanager to answer", 60)
    finally:
        server.kill()
        server.wait()


def test_a_recent_program_on_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unfetchable: None) -> None:
    path = program(tmp_path / "on-path", "prometheus", "prometheus, version 3.5.3 (branch: x)")
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}/usr/bin:/bin")
    tool = find("prometheus", folder=tmp_path / "bin")
    assert tool == Tool("prometheus", path)
    assert tool.version() == "3.5.3"
    assert tool.command("--config.file", path) == [str(path), "--config.file", str(path)]


@pytest.mark.parametrize(
    ("says", "status"), [("prometheus, version 2.42.0", 0), ("not found", 127), ("prometheus, version 3.5.3", 1)]
)
def test_an_old_or_broken_program_on_path_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unfetchable: None, says: str, status: int
) -> None:
    path = program(tmp_path / "on-path", "prometheus", says, status)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}/usr/bin:/bin")
    with pytest.raises(BinaryMissingError) as caught:
        find("prometheus", folder=tmp_path / "bin")
    told = str(caught.value)
    assert "prometheus is not on PATH in version 3.0 or later" in told
    assert "no network here" in told
    assert "install prometheus promtool" in told
    assert "\n" not in told


def test_an_unpacking_that_fails_leaves_nothing_half_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def break_off(_: object, into: Path, **__: object) -> None:
        (into / "usr/bin").mkdir(parents=True)
        raise debian.DebianError("the line went dead")

    monkeypatch.setattr(debian, "unpack", break_off)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing-here"))
    with pytest.raises(BinaryMissingError, match="the line went dead"):
        find("redis-server", folder=tmp_path / "bin")
    assert list((tmp_path / "bin/trees").iterdir()) == []
    assert not (tmp_path / "bin/redis-server").exists()


def test_another_description_of_a_program_is_fetched_anew() -> None:
    tree = PROGRAMS["redis-server"].tree
    names = {binaries._folder_name(tree), binaries._folder_name(type(tree)("redis", ("redis-server",)))}
    assert len(names) == 2
    assert all(name.startswith("redis-") for name in names)


def test_the_command_line_names_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        binaries.main(["redis-servr"])
    assert caught.value.code == 2
    assert "unknown program redis-servr: choose from redis-server" in capsys.readouterr().err


def test_every_browser_command_runs_without_a_screen() -> None:
    arguments = PROGRAMS["chromium"].arguments
    assert Tool("chromium", Path("/c"), arguments).command("about:blank") == ["/c", *arguments, "about:blank"]
    assert "--headless" in arguments
