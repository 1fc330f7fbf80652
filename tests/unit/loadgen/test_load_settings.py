"""Settings: read from the environment, checked, and turned into locust's command."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest

from loadgen.__main__ import command
from loadgen.settings import Settings
from workers.settings import SettingsError


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOAD_", "LOADGEN_"))}
    return subprocess.run(
        [sys.executable, "-m", "loadgen", *words],
        env={**kept, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"LOAD_RATE": "fast"}, "LOAD_RATE='fast': write a number from 0.01 to 10000"),
        ({"LOAD_RATE": "0"}, "LOAD_RATE='0'"),
        ({"LOAD_RATE": "nan"}, "LOAD_RATE='nan'"),
        ({"LOAD_SHAPE": "wave"}, "write one of: steady, burst, backlog, ramp, day"),
        ({"LOADGEN_PORT": "0"}, "LOADGEN_PORT='0'"),
        ({"LOAD_ROLE": "slave"}, "write one of: alone, master, worker"),
        ({"LOAD_TARGET": "gateway:8080"}, "http://gateway:8080"),
        ({"LOAD_TARGET": "http://:80"}, "http://gateway:8080"),
        ({"LOAD_MIX": "orders.cancel=1"}, "'orders.cancel' is no task"),
        ({"LOAD_MIX": "orders.accept=0"}, "the weight of orders.accept"),
        ({"LOAD_HEADLESS": "1"}, "LOAD_RUN_TIME='0': a run without a web page must end"),
    ],
)
def test_a_bad_setting_is_named(variables: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(variables)
    assert says in str(refused.value)


def test_the_program_ends_with_one_line_and_status_2() -> None:
    done = run(LOAD_SHAPE="wave")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: LOAD_SHAPE='wave': write one of: steady, burst, backlog, ramp, day\n"


def test_the_command_is_printed_and_not_run() -> None:
    done = run("--print", "--csv", "a folder/run", LOADGEN_PORT="18089")
    words = shlex.split(done.stdout)
    assert done.returncode == 0, done.stderr
    assert words[1:4] == ["-m", "locust", "-f"]
    assert words[-7:] == ["--autostart", "--web-host", "127.0.0.1", "--web-port", "18089", "--csv", "a folder/run"]


def test_roles_become_locusts_options() -> None:
    master = command(Settings.from_environment({"LOAD_ROLE": "master", "LOAD_EXPECT_WORKERS": "3"}))
    worker = command(Settings.from_environment({"LOAD_ROLE": "worker", "LOAD_MASTER_HOST": "10.0.0.7"}))
    headless = command(Settings.from_environment({"LOAD_HEADLESS": "1", "LOAD_RUN_TIME": "60"}))
    assert master[master.index("--expect-workers") + 1] == "3"
    assert "--master" in master
    assert worker[-5:] == ["--worker", "--master-host", "10.0.0.7", "--master-port", "5557"]
    assert "--headless" in headless
    assert "--web-port" not in headless


def test_a_mix_has_weights() -> None:
    settings = Settings.from_environment({"LOAD_MIX": "orders.accept=9, reports.summarise"})
    assert settings.mix == (("orders.accept", 9), ("reports.summarise", 1))
