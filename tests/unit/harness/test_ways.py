"""Which way a stack runs, with an engine that is acted by a script, and none at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import compose_v2, standins, ways
from harness.errors import BadInputError, HarnessError
from harness.stack import Stack

Engine = Callable[..., None]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Puts a docker on PATH that answers as told: its refusal, its images with their labels, what a pull says."""

    def act(refusal: str = "", images: dict[str, str] | None = None, pull: str = "no such host") -> None:
        lines = ["#!/bin/sh", 'case "$1 $2" in']
        lines.append(f"'version --format') {f'echo {refusal!r} >&2; exit 1' if refusal else 'echo 20.10'};;")
        lines.append("'compose version') echo 2.30.0;;")
        lines.append("'image inspect') for image; do :; done; case $image in")
        lines += [f"{image}) echo '{label}';;" for image, label in (images or {}).items()]
        lines.append("*) exit 1;; esac;;")
        lines.append(f"'pull -q') {f'echo {pull!r} >&2; exit 1' if pull else 'exit 0'};;")
        lines.append("*) echo unexpected: $* >&2; exit 9;; esac")
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / "docker").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (tmp_path / "bin" / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")

    (tmp_path / "compose.yaml").write_text(
        "services:\n  a: {image: 'one:1'}\n  b: {image: 'two:2'}\n  c: {image: own, build: .}\n", encoding="utf-8"
    )
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "own.Dockerfile").write_text(
        "ARG B\nFROM base:3 AS x\nFROM x\nFROM ${B}\n", encoding="utf-8"
    )
    compose_v2._compose_command.cache_clear()
    yield act
    compose_v2._compose_command.cache_clear()  # what was found here is nobody else's


def chosen(root: Path, way: str = "") -> tuple[str, str]:
    """The kind of way and the line that is said of it."""
    plan = Stack(way, project="p", root=root, overrides={"B": "base:4"}).plan
    found, line = ways.choose(plan, way)
    assert "\n" not in line
    return found.kind, line


ALL = {"one:1": "", "two:2": "", "base:3": "", "base:4": ""}


def test_no_engine_means_plain_processes(engine: Engine, tmp_path: Path) -> None:
    engine(refusal="Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?")
    assert chosen(tmp_path) == ("native", "p runs as plain processes: no container engine answers")
    engine(refusal="permission denied while trying to connect")
    kind, line = chosen(tmp_path)
    assert kind == "native"
    assert "add it to the group docker" in line


def test_no_docker_at_all_means_plain_processes(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert chosen(tmp_path)[0] == "native"


def test_a_hidden_engine_is_no_engine(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert chosen(tmp_path)[0] == "native"


def test_images_that_are_there_are_run(engine: Engine, tmp_path: Path) -> None:
    engine(images=ALL)
    assert chosen(tmp_path) == ("images", "p runs as containers of the official images: the engine has them all")


def test_images_that_can_be_pulled_are_run(engine: Engine, tmp_path: Path) -> None:
    engine(images={"one:1": ""}, pull="")
    assert chosen(tmp_path)[0] == "images"


def test_no_registry_means_stand_ins_and_the_reason_is_the_engines_own(engine: Engine, tmp_path: Path) -> None:
    engine(pull="dial tcp: lookup registry: no such host")
    kind, line = chosen(tmp_path)
    assert kind == "stand-ins"
    assert line.endswith("one:1 cannot be pulled: dial tcp: lookup registry: no such host")


def test_stand_ins_that_are_there_are_said_to_be_stand_ins(engine: Engine, tmp_path: Path) -> None:
    engine(images={**ALL, "two:2": f"{standins.LABEL}=redis 8"})
    assert chosen(tmp_path)[0] == "stand-ins"


def test_the_images_below_the_projects_own_count_too(engine: Engine, tmp_path: Path) -> None:
    engine(images={"one:1": "", "two:2": "", "base:3": ""})
    kind, line = chosen(tmp_path)
    assert kind == "stand-ins"
    assert "base:4 cannot be pulled" in line


def test_a_choice_is_taken_and_said(engine: Engine, tmp_path: Path) -> None:
    engine(images=ALL)
    assert chosen(tmp_path, "native") == ("native", "p runs as plain processes: WAY=native")
    assert chosen(tmp_path, "stand-ins")[0] == "stand-ins"
    assert chosen(tmp_path, "images")[0] == "images"
    assert chosen(tmp_path, "compose")[0] == "images"


@pytest.mark.parametrize("way", ["images", "stand-ins", "compose"])
def test_a_choice_that_needs_an_engine_fails_without_one(engine: Engine, tmp_path: Path, way: str) -> None:
    engine(refusal="Cannot connect to the Docker daemon")
    with pytest.raises(HarnessError, match=f"WAY={way} needs a container engine, and no container engine answers"):
        chosen(tmp_path, way)


def test_a_choice_that_is_none_is_refused_with_those_that_are(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="WAY='docker' is no way to run the stack; write one of native, stand-ins"):
        ways.require_choice("docker")


@pytest.mark.parametrize("name", ["", "Upper", "with space", "-x", "a" * 70])
def test_a_project_name_that_compose_refuses_is_refused(name: str) -> None:
    with pytest.raises(BadInputError, match="COMPOSE_PROJECT_NAME="):
        ways.require_name(name)
