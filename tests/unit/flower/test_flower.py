"""Flower as the stack runs it: behind its password, under its prefix, on a real broker with a real worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from harness.child import Child, running
from harness.ports import free_ports
from harness.private_redis import PrivateRedis, private_redis
from harness.wait import until
from workers.flower import options
from workers.settings import SettingsError

ROOT = Path(__file__).parents[3]
PASSWORD = "not-a-default"
# The pages that Flower's guides name and that Flower 2 still has: /monitor went with version 1.
PAGES = ("/", "/workers", "/tasks", "/broker")


@dataclass
class Flower:
    url: str
    child: Child

    def get(self, path: str, password: str | None = PASSWORD) -> requests.Response:
        return requests.get(self.url + path, auth=("admin", password) if password else None, timeout=30)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    with private_redis(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(scope="module")
def flower(broker: PrivateRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    folder = tmp_path_factory.mktemp("flower")
    (folder / "password").write_text(PASSWORD)
    port = free_ports(1)[0]
    environment = {
        **os.environ,
        "BROKER_URL": broker.url,
        "FLOWER_PASSWORD_FILE": str(folder / "password"),
        "FLOWER_PORT": str(port),
    }
    with running([sys.executable, "-m", "workers.flower"], log=folder / "log", env=environment, cwd=ROOT) as child:
        flower = Flower(f"http://127.0.0.1:{port}/flower", child)

        def healthy() -> bool:
            assert child.running, child.said()
            return flower.get("/healthcheck", password=None).ok

        until(healthy, "Flower to answer", timeout=90)
        yield flower


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_there_for_who_has_the_password_and_nobody_else(flower: Flower, page: str) -> None:
    assert flower.get(page).status_code == 200
    assert flower.get(page, password=None).status_code == 401
    assert flower.get(page, password="admin").status_code == 401


def test_nothing_is_served_outside_the_prefix(flower: Flower) -> None:
    assert requests.get(flower.url.removesuffix("/flower") + "/workers", timeout=30).status_code == 404


def test_the_workers_page_and_the_metrics_know_a_worker(flower: Flower, broker: PrivateRedis, tmp_path: Path) -> None:
    environment = {**os.environ, "BROKER_URL": broker.url, "RESULT_BACKEND_URL": broker.url, "METRICS_PORT": "off"}
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-n", "seen@here", "-P", "solo"]
    with running(command, log=tmp_path / "log", env=environment, cwd=ROOT) as worker:

        def seen() -> bool:
            assert worker.running, worker.said()
            return 'flower_worker_online{worker="seen@here"} 1.0' in flower.get("/metrics", password=None).text

        until(seen, "Flower's metrics to show the worker", timeout=120)
        until(lambda: "seen@here" in flower.get("/workers").text, "the workers page to show the worker", timeout=60)


def test_the_password_is_no_argument_that_others_can_read(flower: Flower) -> None:
    arguments = Path(f"/proc/{flower.child.pid}/cmdline").read_bytes().decode()
    assert "workers.flower" in arguments
    assert PASSWORD not in arguments
    assert PASSWORD not in flower.child.log.read_text()


def test_without_a_password_it_does_not_start(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "FLOWER_PASSWORD_FILE"}
    run = subprocess.run(
        [sys.executable, "-m", "workers.flower"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert run.returncode == 2
    assert "FLOWER_PASSWORD_FILE" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("setting", "value"), [("FLOWER_PORT", "many"), ("FLOWER_URL_PREFIX", "a/b"), ("FLOWER_PASSWORD_FILE", "/nowhere")]
)
def test_a_setting_that_cannot_be_used_is_named(setting: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    with pytest.raises(SettingsError, match=setting):
        options({"FLOWER_PASSWORD_FILE": str(tmp_path / "password"), setting: value})
