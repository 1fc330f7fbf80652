"""Ports, secrets, receivers, an own broker's address, the summary of a test run."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from harness import ports, receivers, secrets, settings, testrun
from harness.commands.observing import split_password
from harness.compose_model import Port, Service
from harness.errors import BadInputError, HarnessError
from harness.paths import ROOT
from harness.testrun import Part, Result
from harness.worker_handle import worker_command


def test_free_ports_are_different_free_and_not_those_taken() -> None:
    found = ports.free_ports(20)
    assert len(set(found)) == 20
    assert all(ports.is_free(port) for port in found)
    with pytest.raises(BadInputError, match="no 1 free ports"):
        ports.free_ports(1, range(20000, 32000))


def test_every_port_in_use_is_named_with_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        free = ports.free_ports(1)[0]
        services = [
            Service("a", "", ports=(Port(80, port, "A_PORT"), Port(8000))),
            Service("b", "", ports=(Port(80, port),)),
            Service("c", "", ports=(Port(80, free, "C_PORT"),)),
        ]
        with pytest.raises(BadInputError) as refused:
            ports.require_free(services)
        assert str(refused.value).splitlines() == [
            f"port {port} for a is in use; set A_PORT to another port",
            f"port {port} for b is in use",
        ]
    ports.require_free(services)


def test_secrets_are_made_once_and_are_nobody_elses(tmp_path: Path) -> None:
    folder = secrets.ensure(tmp_path / "secrets")
    made = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}
    assert set(made) == {"redis_password", "redis_auth.conf", "grafana_admin_password", "flower_password"}
    assert made["redis_auth.conf"] == f"requirepass {made['redis_password']}\n"
    assert len({made[name] for name in secrets.PASSWORDS}) == len(secrets.PASSWORDS)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()} == {0o644}
    secrets.ensure(folder)
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()} == made


def test_a_receiver_is_switched_on_by_its_secret_file_and_by_that_alone(tmp_path: Path) -> None:
    text = (ROOT / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    assert receivers.switched_on(text, tmp_path) == text
    (tmp_path / "slack_url").write_text("x", encoding="utf-8")
    (tmp_path / "something").write_text("x", encoding="utf-8")
    changed = receivers.switched_on(text, tmp_path)
    gone = set(text.splitlines()) - set(changed.splitlines())
    assert {line.strip() for line in gone} == {'- switched_off="slack"'}


def test_the_password_is_taken_out_of_a_brokers_address() -> None:
    assert split_password("redis://:p%40ss@host:6379/0") == ("redis://host:6379/0", "p@ss")
    assert split_password("amqp://user:pw@host/vhost") == ("amqp://user@host/vhost", "pw")
    assert split_password("redis://host:1/0") == ("redis://host:1/0", "")


@pytest.mark.parametrize("url", ["", "host:6379", "http://u:geheim@host/", "redis://:geheim@host:port/0", "redis:///0"])
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadInputError, match="BROKER_URL") as refused:
        split_password(url)
    assert "geheim" not in str(refused.value)
    assert "redis://host:6379/0" in str(refused.value)


def test_settings_come_from_the_file_then_the_shell_then_the_caller(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file\nC='quoted # value'\n# comment\n", encoding="utf-8")
    found = settings.load(tmp_path, {"B": "caller"}, {"A": "shell", "B": "shell"})
    assert (found["A"], found["B"], found["C"]) == ("shell", "caller", "quoted # value")


@pytest.mark.parametrize("value", ["x", "0", "inf", "nan", "-3"])
def test_a_number_that_is_none_is_refused_by_name(value: str) -> None:
    with pytest.raises(BadInputError, match=f"CLOCK={value}|CLOCK='{value}'"):
        settings.number({"CLOCK": value}, "CLOCK", 1, 1)


def test_an_added_workers_command_is_the_stacks_own_with_other_values() -> None:
    command = ["celery", "-A", "x", "worker", "-n", "worker@%h", "-Q", "a,b", "-P", "prefork", "-c", "2", "-l", "info"]
    assert worker_command(command, "w", ["q", "r"], "solo", 1) == [
        *("celery", "-A", "x", "worker", "-n", "w@%h", "-Q", "q,r", "-P", "solo", "-c", "1", "-l", "info")
    ]
    with pytest.raises(HarnessError, match="has no -Q"):
        worker_command(["celery", "-n", "x"], "w", ["q"], "solo", 1)


def test_a_part_that_fails_fails_the_whole_and_is_named() -> None:
    good, bad, none = Result(Part("a"), 0, 1.0), Result(Part("b"), 3, 2.0), Result(Part("c", (), "no engine"), None)
    assert testrun.status([good, none]) == 0
    assert testrun.status([good, bad, none]) == 1
    assert testrun.status([none]) == 1
    text = testrun.summary([good, bad, none], "TABLE")
    assert text.splitlines() == [
        "TABLE",
        "",
        "  passed   a (1 s)",
        "  FAILED with status 3 b (2 s)",
        "  not run  c: no engine",
        "1 of 3 parts FAILED",
    ]


def test_a_parts_own_exit_status_is_kept() -> None:
    assert testrun.run(Part("x", ["sh", "-c", "exit 5"])).status == 5
    assert testrun.run(Part("x", ["sh", "-c", "exit 0"])).status == 0
    assert testrun.run(Part("x", ["sh", "-c", "exit 0"], "why")).status is None
