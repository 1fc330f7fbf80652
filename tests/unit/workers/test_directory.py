"""The folder in which the processes of one node share their metrics: claimed, emptied, resumed, swept."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from nodes import ROOT, environment

from workers.instrumentation.directory import is_celery_program

CLAIM = """
import os, sys
from workers.instrumentation import directory
"""


def run(code: str, **env: str) -> str:
    """Run ``code`` in a process of its own, after the import of the module, and return what it printed."""
    command = [sys.executable, "-c", CLAIM + textwrap.dedent(code)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**env), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_named_folder_is_emptied_of_what_an_earlier_node_left(tmp_path: Path) -> None:
    (tmp_path / "counter_1.db").write_bytes(b"old")
    (tmp_path / "keep.txt").write_text("not ours")
    printed = run(
        "f = directory.claim(); print(f.path, f.resumed, os.environ[directory.VARIABLE])",
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
    )
    assert printed == f"{tmp_path} False {tmp_path}"
    assert not list(tmp_path.glob("*.db"))
    assert (tmp_path / "keep.txt").exists()


def test_two_nodes_of_one_folder_do_not_share_it(tmp_path: Path) -> None:
    code = f"""
    import subprocess
    first = directory.claim()
    open(first.path / "counter_7.db", "w").close()
    code = "from workers.instrumentation import directory; print(directory.claim().path)"
    env = {{**os.environ, directory.VARIABLE: {str(tmp_path)!r}}}
    second = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
    assert second.strip().startswith({str(tmp_path)!r} + "/node-"), second
    assert (first.path / "counter_7.db").exists(), "the first node's files were taken away"
    """
    run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    # The second node is gone; the next that comes takes its folder away.
    assert list(tmp_path.glob("node-*"))
    run("directory.claim()", PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    assert not list(tmp_path.glob("node-*"))


def test_a_forked_child_does_not_hold_its_parents_folder(tmp_path: Path) -> None:
    code = """
    import fcntl, signal, time
    folder = directory.claim()
    child = os.fork()
    if child == 0:
        folder.close_in_child()
        signal.pause()
    os.close(folder._lock)
    lock = os.open(folder.path / directory.OWNER, os.O_RDWR)
    deadline = time.monotonic() + 30
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            assert time.monotonic() < deadline, "still held"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    """
    run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))


def test_a_process_that_replaces_its_program_resumes(tmp_path: Path) -> None:
    code = """
    folder = directory.claim()
    open(folder.path / "counter_7.db", "w").close()
    code = (
        "from workers.instrumentation import directory as d; f = d.claim(); "
        "print(f.resumed, (f.path / 'counter_7.db').exists())"
    )
    os.execv(sys.executable, [sys.executable, "-c", code])
    """
    assert run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) == "True True"


def test_a_private_folder_goes_with_its_process(tmp_path: Path) -> None:
    path = Path(run("print(directory.claim().path)", TMPDIR=str(tmp_path)))
    assert path.parent == tmp_path
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = """
    from workers.settings import SettingsError
    try:
        directory.claim()
    except SettingsError as error:
        print(error)
    """
    assert run(code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "file" / "metrics")).startswith(
        "PROMETHEUS_MULTIPROC_DIR="
    )


def test_importing_in_a_producer_changes_nothing(tmp_path: Path) -> None:
    code = """
    import workers.instrumentation
    print(os.environ.get(directory.VARIABLE), "prometheus_client" in sys.modules)
    """
    assert run(code, TMPDIR=str(tmp_path)) == "None False"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/venv/bin/celery", "-A", "shop", "worker", "-c", "2"], True),
        (["/site-packages/celery/__main__.py", "-A", "shop", "beat"], True),
        (["/venv/bin/celery", "-A", "shop", "inspect", "ping"], False),
        (["/app/manage.py", "worker"], False),
        (["/venv/bin/uvicorn", "web:app"], False),
        ([], False),
    ],
)
def test_a_worker_and_beat_are_told_by_their_command(argv: list[str], expected: bool) -> None:
    assert is_celery_program(argv) is expected


def test_metrics_are_shared_although_prometheus_client_was_there_first(tmp_path: Path) -> None:
    code = """
    import prometheus_client
    directory.claim()
    prometheus_client.Counter("shared", "...").inc()
    print(sorted(os.listdir(os.environ[directory.VARIABLE]))[-1] == f"counter_{os.getpid()}.db")
    """
    assert run(code, TMPDIR=str(tmp_path)) == "True"
    assert os.environ.get("PROMETHEUS_MULTIPROC_DIR") is None
