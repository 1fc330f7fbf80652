"""Local stand-ins for official images, built from Debian's packages where no image registry can be reached.

A stand-in bears the official name and the label `LABEL`, whose value is the package version inside. An image
without the label is never replaced; nothing is ever pushed. The recipes are in images/standins/.

``python -m harness.standins build|list|clean [IMAGE...]``
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import ca, debian
from harness.debian import Depends, Progress
from harness.errors import HarnessError
from harness.paths import ROOT, STATE
from harness.rootfs import Finish, archive, finish

RECIPES = ROOT / "images" / "standins"
LABEL = "celery-observability.standin"
DOCKER_TIMEOUT_SECONDS = 60
BUILD_TIMEOUT_SECONDS = 900


class StandinError(HarnessError):
    """A stand-in cannot be built; the message is one line."""


@dataclass(frozen=True)
class Recipe:
    """How the stand-in of one image is made: from packages, or by a Dockerfile on top of another image."""

    image: str
    suite: str = ""
    packages: tuple[str, ...] = ()
    version_of: str = ""
    changes: tuple[str, ...] = ()
    finish: Finish = field(default_factory=Finish)
    dockerfile: str = ""
    base: str = ""
    version: str = ""


def recipes(folder: Path = RECIPES) -> dict[str, Recipe]:
    """The recipes by the image's name without its tag."""
    found = (_recipe(tomllib.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.toml")))
    return {recipe.image: recipe for recipe in found}


def missing(images: Iterable[str]) -> list[str]:
    """Those of `images` that the engine does not hold, official or stand-in."""
    return [image for image in dict.fromkeys(images) if not _exists(image)]


def standins() -> list[str]:
    """The stand-ins that the engine holds, and what was built on them."""
    listed = _docker("image", "ls", "--filter", f"label={LABEL}", "--format", "{{.Repository}}:{{.Tag}}")
    return sorted({line for line in listed.split() if "<none>" not in line})


def build(images: Iterable[str], progress: Progress = debian.quiet) -> tuple[list[str], dict[str, str]]:
    """Builds a stand-in of each image that is missing and has a recipe.

    Returns the images built, and those left out with the reason of each. Raises `StandinError` where a build fails.
    """
    known = recipes()
    left_out: dict[str, str] = {}
    from_packages: list[str] = []
    from_images: list[str] = []
    for image in missing(images):
        recipe = known.get(_name(image))
        if recipe is None:
            left_out[image] = "Debian has no package of it"
        else:
            (from_images if recipe.dockerfile else from_packages).append(image)
    # Those of different suites need not wait for each other; those of one do, for apt's lists.
    with ThreadPoolExecutor(max_workers=len(from_packages) or 1) as pool:
        list(pool.map(lambda image: _import(image, known[_name(image)], progress), from_packages))
    built = from_packages
    for image in from_images:
        built = [*built, *_build_on(image, known[_name(image)], progress)]
    return built, left_out


def clean(progress: Progress = debian.quiet) -> list[str]:
    """Removes every stand-in and every image built on one: they bear its label. Nothing else is touched.

    Returns their names; raises `StandinError` where one is in use.
    """
    found = standins()
    for image in found:
        _docker("image", "rm", image)
        progress(f"removed {image}")
    return found


def _recipe(data: dict[str, Any]) -> Recipe:
    parts = Finish(
        users={name: (uid, gid) for name, (uid, gid) in data.get("users", {}).items()},
        folders={name: (uid, gid) for name, (uid, gid) in data.get("folders", {}).items()},
        links=data.get("links", {}), files=data.get("files", {}),
        remove=tuple(data.get("remove", ())), compile=data.get("compile"),
    )  # fmt: skip
    return Recipe(
        image=data["image"], suite=data.get("suite", ""), packages=tuple(data.get("packages", ())),
        version_of=data.get("version_of", ""), changes=tuple(data.get("settings", {}).get("changes", ())),
        finish=parts, dockerfile=data.get("dockerfile", ""), base=data.get("base", ""), version=data.get("version", ""),
    )  # fmt: skip


def _import(image: str, recipe: Recipe, progress: Progress) -> None:
    _refuse_to_replace(image)
    cache = STATE / "apt"
    STATE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="standin-", dir=STATE) as temporary:
        root = Path(temporary) / "root"
        progress(f"{image}: building a stand-in from Debian {recipe.suite}")
        debian.unpack(recipe.packages, root, suite=recipe.suite, depends=Depends.ALL, cache=cache,
                      progress=lambda line: progress(f"{image}: {line}"))  # fmt: skip
        version = debian.candidate(recipe.version_of, suite=recipe.suite, cache=cache) or "unknown"
        finish(root, recipe.finish)
        changes = [
            f"--change={change}" for change in (*recipe.changes, f'LABEL {LABEL}="{recipe.version_of} {version}"')
        ]
        _refuse_to_replace(image)  # it may have been pulled in the meantime
        with subprocess.Popen(
            [_program(), "import", *changes, "-", image], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as importing:  # fmt: skip
            assert importing.stdin is not None  # noqa: S101
            assert importing.stderr is not None  # noqa: S101
            with contextlib.suppress(BrokenPipeError):  # then the engine says why on its standard error
                archive(root, recipe.finish, importing.stdin)
                importing.stdin.close()
            said = importing.stderr.read().decode(errors="replace").strip()
        if importing.returncode != 0:
            raise StandinError(f"{image}: docker import failed: {said.splitlines()[-1] if said else 'no reason given'}")
        _say_version(image, version, progress)


def _say_version(image: str, version: str, progress: Progress) -> None:
    upstream = version.partition(":")[2] or version
    tag = image.rpartition(":")[2].removeprefix("v").partition("-")[0]
    differs = "" if upstream.startswith(tag) else f" (the tag says {tag})"
    progress(f"{image}: stand-in ready, version {upstream}{differs}")


def _build_on(image: str, recipe: Recipe, progress: Progress) -> list[str]:
    """Builds by the recipe's Dockerfile, with the image below it first where that is missing too."""
    settings = dict(line.split("=", 1) for line in (ROOT / ".env").read_text().splitlines() if "=" in line)
    base = settings[recipe.base]
    built, left_out = build([base], progress) if missing([base]) else ([], {})
    if left_out:
        raise StandinError(f"{image}: its base {base} has no stand-in")
    progress(f"{image}: building a stand-in on {base}")
    ca.place()
    _refuse_to_replace(image)
    arguments = {"PYTHON_IMAGE": base, **ca.index_settings()}
    _docker(
        "build", "--quiet", "--file", str(RECIPES / recipe.dockerfile), "--tag", image,
        "--label", f"{LABEL}={recipe.version}",
        *(f"--build-arg={name}={value}" for name, value in arguments.items()), str(ROOT),
        timeout=BUILD_TIMEOUT_SECONDS,
    )  # fmt: skip
    _say_version(image, recipe.version, progress)
    return [*built, image]


def _refuse_to_replace(image: str) -> None:
    if _exists(image) and not _docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', image):
        raise StandinError(f"{image} is there and is no stand-in: it is not replaced")


def _name(image: str) -> str:
    return image.partition("@")[0].rpartition(":")[0] or image


def _exists(image: str) -> bool:
    done = subprocess.run([_program(), "image", "inspect", image], capture_output=True, check=False,
                          timeout=DOCKER_TIMEOUT_SECONDS)  # fmt: skip
    return done.returncode == 0


def _program() -> str:
    found = shutil.which("docker")
    if found is None:
        raise StandinError("docker is not on PATH: install Docker's command line (package docker-cli or docker-ce-cli)")
    return found


def _docker(*arguments: str, timeout: float = DOCKER_TIMEOUT_SECONDS) -> str:
    try:
        done = subprocess.run([_program(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=timeout)  # fmt: skip
    except subprocess.TimeoutExpired:
        raise StandinError(f"docker {arguments[0]} did not end within {timeout:.0f} s") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise StandinError(f"docker {arguments[0]} failed: {said[-1] if said else 'no reason given'}")
    return done.stdout.strip()


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds, lists or removes stand-ins."""
    parser = argparse.ArgumentParser(prog="python -m harness.standins", description=main.__doc__)
    parser.add_argument("action", choices=("build", "list", "clean"))
    parser.add_argument("images", nargs="*", metavar="IMAGE")
    given = parser.parse_args(arguments)
    try:
        if given.action == "build":
            _, left_out = build(given.images, _say)
            for image, reason in left_out.items():
                print(f"{image}: left out: {reason}", file=sys.stderr)
        elif given.action == "clean":
            clean(_say)
        else:
            print("\n".join(standins()))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
