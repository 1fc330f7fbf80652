"""A small compose file as real processes: started, watched, broken, ended, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from harness.errors import BadInputError, HarnessError
from harness.ports import free_ports
from harness.processes import MARK
from harness.stack import Stack
from harness.wait import until

# An HTTP server that tells its environment, keeps a file in its volume, and has one child, like a small pool.
SERVER = """
import http.server, json, os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
volume = pathlib.Path(os.environ["DATA_DIR"]) / "starts"
volume.write_text(str(int(volume.read_text()) + 1 if volume.exists() else 1))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            os._exit(7)
        self.send_response(200); self.end_headers()
        body = {"environ": dict(os.environ), "starts": volume.read_text(), "argv": sys.argv, "cwd": os.getcwd()}
        self.wfile.write(json.dumps(body).encode())
    def log_message(self, *words): print("asked", self.path, flush=True)
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["HTTP_PORT"])), Handler).serve_forever()
"""
HEALTH = """[CMD, python3, -c, "import urllib.request as r; r.urlopen('http://127.0.0.1:%d/', timeout=4)"]"""
SHELL = r"""python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8000/', timeout=4)\""""
COMPOSE = f"""
services:
  web:
    command: [python3, /app/server.py, "web@%h", "/run/secrets/token", "back:8000"]
    environment: {{HTTP_PORT: "80", DATA_DIR: /data, BACK: "http://back:8000/x", LIMIT: "80"}}
    volumes: ["./app:/app:ro", "data:/data"]
    secrets: [token]
    tmpfs: [/tmp]
    ports: ["127.0.0.1:${{WEB_PORT:?}}:80"]
    restart: unless-stopped
    depends_on: {{back: {{condition: service_healthy}}}}
    healthcheck: {{test: {HEALTH % 80}, interval: 1s, timeout: 5s}}
    stop_grace_period: 5s
  back:
    command: [python3, /app/server.py]
    environment: {{HTTP_PORT: "8000", DATA_DIR: /tmp}}
    volumes: ["./app:/app:ro"]
    tmpfs: [/tmp]
    expose: ["8000"]
    stop_grace_period: 5s
    healthcheck: {{test: [CMD-SHELL, "test -f '/app/server.py' && {SHELL}"], interval: 1s, timeout: 5s}}
  elsewhere:
    image: none
    x-native: {{absent: "it runs nowhere"}}
secrets: {{token: {{file: ./token}}}}
volumes: {{data: }}
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stack]]:
    """Makes stacks of the small file, in a folder whose name has a space; whatever they started is ended."""
    tmp_path = tmp_path / "a checkout"
    tmp_path.mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "server.py").write_text(SERVER, encoding="utf-8")
    (tmp_path / "token").write_text("t", encoding="utf-8")
    monkeypatch.setattr("harness.stack.run_dir", lambda project: tmp_path / "run" / project)
    made: list[Stack] = []

    def build(text: str = COMPOSE, **settings: str) -> Stack:
        (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
        [port] = free_ports(1)
        overrides = {"WEB_PORT": str(port), "SECRETS_DIR": str(tmp_path / "secrets"), **settings}
        said: list[str] = []
        stack = Stack(
            "native",
            project=f"small-{secrets.token_hex(4)}",
            overrides=overrides,
            root=tmp_path,
            say=said.append,
        )
        made.append(stack)
        return stack

    try:
        yield build
    finally:
        for stack in made:
            with contextlib.suppress(HarnessError):
                stack.down(volumes=True)
        left = [process for stack in made for process in of_project(stack.project)]
        for process in left:
            process.kill()
        assert not left, f"left behind: {left}"


def of_project(project: str) -> list[psutil.Process]:
    """Every process that bears the token of a project."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK, "").startswith(f"{project}/") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def asked(stack: Stack, service: str = "web") -> dict[str, object]:
    answer: dict[str, object] = requests.get(stack.address(service), timeout=20).json()
    return answer


def test_a_stack_starts_is_as_described_and_leaves_nothing(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    web = asked(stack)
    environ, argv = web["environ"], web["argv"]
    assert isinstance(environ, dict)
    assert isinstance(argv, list)
    back = stack.address("back").removeprefix("http://")
    assert argv[1:] == ["web@web-1", str(stack.plan.root / "token"), back]
    assert environ["BACK"] == f"http://{back}/x"
    assert environ["LIMIT"] == "80"
    assert environ["DATA_DIR"] == str(stack.run / "volumes" / "data")
    assert Path(environ["TMPDIR"]).is_relative_to(stack.run)
    assert stack.services == ["web", "back"]
    assert {copy.name: seen.state for copy, seen in stack.status()} == {"web-1": "healthy", "back-1": "healthy"}
    assert "listening" in stack.logs("web")
    assert not [p for p in of_project(stack.project) if p.terminal()]
    stack.down(volumes=True)
    assert of_project(stack.project) == []
    assert not stack.run.exists()


def test_data_outlives_down_and_goes_only_when_asked(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    assert asked(stack)["starts"] == "1"
    stack.down()
    assert of_project(stack.project) == []
    stack.start()
    assert asked(stack)["starts"] == "2"
    stack.down(volumes=True)
    stack.start()
    assert asked(stack)["starts"] == "1"


def test_starting_what_runs_changes_nothing(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    before = {process.pid for process in of_project(stack.project)}
    stack.start()
    assert {process.pid for process in of_project(stack.project)} == before


def test_kill_pause_resume_restart(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    stack.pause("web")
    with pytest.raises(requests.Timeout):
        requests.get(stack.address("web"), timeout=1)
    assert stack.status()[0][1].state == "paused"
    stack.resume("web")
    assert asked(stack)["starts"] == "1"
    stack.kill("web")
    assert stack.status()[0][1].state == "exited"
    assert [p for p in of_project(stack.project) if "web" in p.environ()[MARK]] == []
    stack.start_service("web")
    assert asked(stack)["starts"] == "2"
    stack.restart("web")
    assert asked(stack)["starts"] == "3"


def test_a_part_that_ends_by_itself_is_run_again_where_its_container_would_be(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{stack.address('web')}/end", timeout=20)
    until(lambda: asked(stack)["starts"] == "2", "the second start of web", 60)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{stack.address('back')}/end", timeout=20)
    until(lambda: not stack.is_healthy("back"), "back to stay down", 60)
    stack.start_service("back")


def test_children_are_those_of_the_program_and_one_can_be_killed(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    for service in ("web", "back"):  # below a supervisor, and without one
        [child] = stack.children(service)
        assert psutil.Process(child).cmdline()[-1].endswith("time.sleep(600)")
        assert stack.kill_child(service) == child
        until(lambda service=service: not stack.children(service), "the child to be gone", 30)  # type: ignore[misc]
        assert stack.is_healthy(service)
        with pytest.raises(HarnessError, match="has 0 pool processes"):
            stack.kill_child(service)


def test_scaling_gives_each_copy_a_port_and_what_is_published_runs_once(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    stack.scale("back", 3)
    assert stack.replicas("back") == [1, 2, 3]
    assert len({stack.address("back", replica=number) for number in (1, 2, 3)}) == 3
    stack.scale("back", 1)
    assert stack.replicas("back") == [1]
    with pytest.raises(BadInputError, match="web has a port of its own"):
        stack.scale("web", 2)


def test_a_port_in_use_is_named_with_its_setting(make: Callable[..., Stack]) -> None:
    first, second = make(), make()
    first.start()
    taken = first.plan.settings["WEB_PORT"]
    second = make(WEB_PORT=taken)
    with pytest.raises(BadInputError) as refused:
        second.start()
    assert str(refused.value) == f"port {taken} for web is in use; set WEB_PORT to another port"
    assert of_project(second.project) == []


def test_two_copies_run_side_by_side(make: Callable[..., Stack]) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    first.down(volumes=True)
    assert asked(second)["starts"] == "1"


def test_a_part_that_cannot_start_is_named_with_its_reason_and_its_last_words(make: Callable[..., Stack]) -> None:
    broken = COMPOSE.replace('[python3, /app/server.py, "web@%h"', "[python3, -c, \"import sys; sys.exit('no luck')\"")
    with pytest.raises(HarnessError) as failed:
        make(broken).start()
    assert "web-1: it ended with status 1 " in str(failed.value)
    assert "no luck" in str(failed.value)


def test_a_part_that_stays_unhealthy_is_named_with_what_its_check_said(make: Callable[..., Stack]) -> None:
    never = COMPOSE.replace(HEALTH % 80, "[CMD, python3, -c, \"import sys; sys.exit('not today')\"]")
    with pytest.raises(HarnessError, match="web-1: not healthy after 3 s: not today"):
        make(never).start(timeout=3)


def test_another_program_finds_the_stack_as_it_was_started(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    address = stack.address("web")
    code = (
        "import sys, pathlib, harness.stack as s; root = pathlib.Path(sys.argv[1])\n"
        "s.run_dir = lambda project: root / 'run' / project; s.Stack.__init__.__kwdefaults__['root'] = root\n"
        "found = s.Stack.attach(sys.argv[2]); print(found.address('web')); found.down()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(stack.plan.root), stack.project],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "WEB_PORT": "1"},
    )
    assert (done.returncode, done.stdout.strip()) == (0, address), done.stderr
    assert of_project(stack.project) == []


def test_a_process_of_somebody_else_under_a_known_id_is_left_alone(make: Callable[..., Stack]) -> None:
    stack = make()
    stack.start()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        store = stack.way._store  # type: ignore[attr-defined]
        with store.changing() as copies:
            mine = copies["back-1"].identity
            copies["back-1"].identity = type(mine)(stranger.pid, mine.started - 100, mine.token)
        stack.kill("back")
        assert stranger.poll() is None
        with store.changing() as copies:
            copies["back-1"].identity = mine
    finally:
        stranger.send_signal(signal.SIGKILL)
        stranger.wait(30)
