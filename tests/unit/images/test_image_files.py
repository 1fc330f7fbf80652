"""The Dockerfiles, the build context and the lock files that the project's own images are made of."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from harness import standins

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = sorted((ROOT / "images").rglob("*.Dockerfile"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PARTS = ("exporter", "workers", "inbox", "loadgen", "flower")

every_dockerfile = pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
every_lock = pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)


def instructions(path: Path) -> list[str]:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()


def test_there_is_something_to_check() -> None:
    assert DOCKERFILES
    assert {f"{part}.txt" for part in PARTS} <= {path.name for path in LOCKS}


@every_dockerfile
def test_any_builder_can_read_a_dockerfile(path: Path) -> None:
    assert "# syntax" not in path.read_text()
    for line in instructions(path):
        assert "<<" not in line
        assert not re.match(r"(RUN|COPY|ADD) --(mount|chmod|link|network|security)", line)
        assert not line.startswith("ADD ")


@every_dockerfile
def test_an_image_starts_from_the_image_of_the_settings_and_ends_without_root(path: Path) -> None:
    lines = instructions(path)
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")}
    assert bases == {"${PYTHON_IMAGE}"}
    users = [line for line in lines if line.startswith("USER ")]
    assert users[-1] == "USER 10001:10001"
    last_stage = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert not [line for line in last_stage if "certs" in line or "INDEX" in line], "neither reaches the image"
    assert "COPY --from=packages /opt/venv /opt/venv" in last_stage


@every_dockerfile
def test_an_image_installs_what_is_locked_and_nothing_else(path: Path) -> None:
    text = path.read_text()
    for install in re.findall(r"install [^&\n]*", re.sub(r"\\\n\s*", " ", text)):
        assert "--require-hashes" in install
        assert "--no-deps" in install
    assert "--no-cache-dir" in text
    assert not re.search(r"apt-get|curl |wget ", text)


def test_the_build_context_holds_only_what_an_image_can_hold() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    sent = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
    copied = set()
    for path in DOCKERFILES:
        for line in instructions(path):
            if line.startswith("COPY ") and "--from" not in line:
                copied.update(word.rstrip("/") for word in line.split()[1:-1])
    for source in copied:
        name = source.replace("${PART}", "exporter")
        assert any(Path(name).match(pattern) or name.startswith(f"{pattern}/") for pattern in sent), source


@every_lock
def test_a_lock_file_pins_with_hashes_and_names_no_index(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"^\s*--(index-url|extra-index-url|find-links|trusted-host)", text, re.MULTILINE)
    assert "://" not in text
    pins = re.findall(r"^[A-Za-z0-9][^\n]*", text, re.MULTILINE)
    assert pins
    for pin in pins:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[^ ]+", pin), pin
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_lock_files_of_the_parts_agree_with_that_of_the_tests() -> None:
    def pinned(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([^ \n\\;]+)", path.read_text(), re.MULTILINE))

    whole = pinned(ROOT / "requirements" / "test.txt")
    for path in LOCKS:
        assert {name: version for name, version in pinned(path).items() if whole.get(name) != version} == {}, path.name


def test_the_recipes_of_stand_ins_are_complete() -> None:
    found = standins.recipes()
    settings = (ROOT / ".env").read_text()
    assert {"redis", "prom/prometheus", "prom/alertmanager", "python", "danihodovic/celery-exporter"} == found.keys()
    for recipe in found.values():
        assert f"{recipe.image}:" in settings, "an image that the settings never name needs no stand-in"
        if recipe.dockerfile:
            assert (standins.RECIPES / recipe.dockerfile).is_file()
        else:
            assert recipe.version_of in recipe.packages
            assert recipe.suite
    for path in standins.RECIPES.glob("*.toml"):
        known = (
            "image suite packages version_of users folders links files settings compile remove dockerfile base version"
        )
        assert tomllib.loads(path.read_text()).keys() <= set(known.split()), (
            f"{path.name} says something that nobody reads"
        )
