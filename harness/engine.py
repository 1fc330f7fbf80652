"""What the container engine says of itself and of its images. Nothing here starts a container."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

ENGINE_SECONDS = 8.0
PULL_SECONDS = 60.0
_FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)


def refusal() -> str:
    """Why no engine can be used; empty where one can."""
    if not shutil.which("docker"):
        return "there is no docker on PATH"
    done = ask(["docker", "version", "--format", "{{.Server.Version}}"], ENGINE_SECONDS)
    if done is None:
        return f"the container engine did not answer within {ENGINE_SECONDS:g} s"
    if done.returncode == 0:
        return ""
    said = last_line(done.stderr)
    if "permission denied" in said:
        return "the container engine refuses this user (add it to the group docker)"
    if "Cannot connect" in said or "no such host" in said or "refused" in said or "dial" in said:
        return "no container engine answers"
    return said


def image_labels(image: str) -> dict[str, str] | None:
    """The labels of an image that the engine has; None where it does not have it."""
    done = ask(
        ["docker", "image", "inspect", "-f", '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{"\\n"}}{{end}}', image]
    )
    if done is None or done.returncode:
        return None
    return dict(line.partition("=")[::2] for line in done.stdout.splitlines() if "=" in line)


def pull(image: str, timeout: float = PULL_SECONDS) -> str:
    """Let the engine pull an image; empty where it did, else why not, in its own last line."""
    done = ask(["docker", "pull", "-q", image], timeout)
    if done is None:
        return f"no answer within {timeout:g} s"
    return last_line(done.stderr) if done.returncode else ""


def base_images(dockerfile: Path, arguments: dict[str, str]) -> Iterable[str]:
    """The images that a Dockerfile starts from, without its own stages."""
    stages = set[str]()
    for image, stage in _FROM.findall(dockerfile.read_text(encoding="utf-8")):
        name = re.sub(r"\$\{?(\w+)\}?", lambda match: arguments.get(match.group(1), ""), image)
        if name and name not in stages:
            yield name
        stages.add(stage)


def ask(command: list[str], timeout: float = 30.0) -> subprocess.CompletedProcess[str] | None:
    """Run a command that only asks; None where it does not answer in time or is not there."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")
