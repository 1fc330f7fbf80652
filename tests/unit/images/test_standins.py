"""Stand-ins of images, on a real container engine."""

from __future__ import annotations

import io
import subprocess
import tarfile
import uuid
from collections.abc import Iterator

import pytest

from harness import engine, standins
from harness.standins import StandinError

needs_engine = pytest.mark.skipif(bool(engine.refusal()), reason=f"needs a container engine: {engine.refusal()}")


def docker(*arguments: str, content: bytes | None = None) -> str:
    done = subprocess.run(["docker", *arguments], input=content, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


@pytest.fixture
def image() -> Iterator[str]:
    """A name of Redis' image with a tag that nobody else has."""
    name = f"redis:0.0.0-{uuid.uuid4().hex[:12]}"
    yield name
    subprocess.run(["docker", "image", "rm", "--force", name], capture_output=True, check=False, timeout=120)


@needs_engine
def test_a_stand_in_is_built_labelled_and_runs_without_rights(image: str) -> None:
    assert standins.missing([image, image]) == [image]
    said: list[str] = []
    assert standins.build([image], said.append) == ([image], {})
    assert standins.missing([image]) == []
    assert image in standins.standins()
    label = docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{standins.LABEL}"}}}}', image)
    assert label.startswith("redis-server ")
    assert "(the tag says 0.0.0)" in said[-1], "another version than the tag's is told"
    command = ["run", "--rm", "--read-only", "--cap-drop=ALL", "--user=999:1000", "--network=none", image]
    assert docker(*command, "redis-server", "--version").startswith("Redis server v=")
    assert docker(*command, "--version").startswith("Redis server v="), "options alone go to the server"
    assert docker(*command, "sh", "-c", "id -u; stat -c %u:%g /data").split() == ["999", "999:1000"]


@needs_engine
def test_an_image_that_is_no_stand_in_is_never_replaced(image: str) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as stream:
        stream.addfile(tarfile.TarInfo("official"), io.BytesIO(b""))
    docker("import", "-", image, content=content.getvalue())
    before = docker("image", "inspect", "--format", "{{.Id}}", image)
    assert standins.build([image]) == ([], {})
    with pytest.raises(StandinError, match="is no stand-in: it is not replaced"):
        standins._import(image, standins.recipes()["redis"], lambda _: None)
    assert docker("image", "inspect", "--format", "{{.Id}}", image) == before
    assert image not in standins.standins()


def test_what_debian_does_not_have_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standins, "_exists", lambda _: False)
    assert standins.build(["grafana/grafana:12.0.2"]) == ([], {"grafana/grafana:12.0.2": "Debian has no package of it"})


def test_without_docker_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert standins.main(["build", "redis:8"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "docker is not on PATH: install Docker's command line (package docker-cli or docker-ce-cli)"
    ]
