"""Services behind a profile: the settings that come with one that is there, and one that cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from harness import containers, engine, settings, standins
from harness.compose_model import read
from harness.containers import Containers
from harness.errors import HarnessError
from harness.paths import ROOT
from harness.stack import Stack

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
COMPOSE = """
services:
  app:
    command: [sleep, "60"]
    environment: {OTEL_EXPORTER_OTLP_ENDPOINT: "${OTEL_EXPORTER_OTLP_ENDPOINT:-}"}
  store:
    image: store:1
    command: [sleep, "60"]
    profiles: [traces]
    x-sets: {OTEL_EXPORTER_OTLP_ENDPOINT: "http://store:4318"}
    %s
"""
ABSENT = 'x-native: {absent: "it is nowhere"}'


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Stack, list[str]]]]:
    """Starts stacks as plain processes and returns what they said; all are ended."""
    monkeypatch.setattr("harness.stack.run_dir", lambda project: tmp_path / "run" / project)
    monkeypatch.delenv(ENDPOINT, raising=False)
    made: list[Stack] = []

    def build(
        text: str, profiles: tuple[str, ...] = (), overrides: Mapping[str, str] | None = None
    ) -> tuple[Stack, list[str]]:
        (tmp_path / "compose.yaml").write_text(COMPOSE % text, encoding="utf-8")
        said: list[str] = []
        changed = {"SECRETS_DIR": str(tmp_path / "secrets"), **(overrides or {})}
        stack = Stack("native", project="p", root=tmp_path, profiles=profiles, overrides=changed, say=said.append)
        made.append(stack)
        stack.start()
        return stack, said

    try:
        yield build
    finally:
        for stack in made:
            stack.down(volumes=True)


def endpoint(stack: Stack) -> str:
    """What the application is started with."""
    return stack.plan.model.services["app"].environment[ENDPOINT]


def test_a_back_end_that_is_there_is_where_the_application_sends(start: Callable[..., tuple[Stack, list[str]]]) -> None:
    stack, said = start("", ("traces",))
    assert endpoint(stack) == "http://store:4318"
    assert f"store is there: {ENDPOINT}=http://store:4318" in said
    assert [line for line in said if "runs as" in line] == said[:1], "the way is said once"
    attached = Stack.attach("p")
    assert attached is not None
    assert attached.plan.settings[ENDPOINT] == "http://store:4318", "later commands know it too"


def test_an_endpoint_of_ones_own_is_kept(start: Callable[..., tuple[Stack, list[str]]]) -> None:
    stack, said = start("", ("traces",), {ENDPOINT: "http://mine:4318"})
    assert endpoint(stack) == "http://mine:4318"
    assert not [line for line in said if ENDPOINT in line]


def test_without_the_profile_nothing_is_set(start: Callable[..., tuple[Stack, list[str]]]) -> None:
    assert endpoint(start("")[0]) == ""


def test_a_back_end_that_is_left_out_is_said_and_nothing_is_sent_to_it(
    start: Callable[..., tuple[Stack, list[str]]],
) -> None:
    stack, said = start(ABSENT, ("traces",))
    assert "store is left out: it is nowhere" in said
    assert stack.services == ["app"]
    assert endpoint(stack) == ""


def test_an_optional_image_that_cannot_be_pulled_is_left_out_and_a_needed_one_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "compose_command", lambda **_: ["docker", "compose"])
    monkeypatch.setattr(engine, "pull", lambda image, *_: "toomanyrequests")
    monkeypatch.setattr(standins, "missing", lambda images: [image for image in images if image == lacking])
    (tmp_path / "compose.yaml").write_text(
        "services:\n  a: {image: 'one:1'}\n  b: {image: 'two:2', profiles: [more]}\n", encoding="utf-8"
    )
    said: list[str] = []
    plan = Stack("native", project="p", root=tmp_path, profiles=["more"], say=said.append).plan
    monkeypatch.setattr(Containers, "_listed", lambda *_: [])

    lacking = "two:2"
    way = Containers(plan, "images")
    way.prepare()
    assert way.absent() == {"b": "two:2 cannot be pulled: toomanyrequests"}
    assert "b is left out: two:2 cannot be pulled: toomanyrequests" in said

    lacking = "one:1"
    with pytest.raises(HarnessError, match="one:1 cannot be pulled: toomanyrequests"):
        Containers(plan, "images").prepare()


def test_the_shipped_trace_back_end_sets_the_applications_endpoint() -> None:
    shipped = read(ROOT / "compose.yaml", settings.load(environ={}))
    jaeger = shipped.services["jaeger"]
    assert jaeger.sets == {ENDPOINT: "http://jaeger:4318"}
    assert {port.container for port in jaeger.ports} >= {4318, 8888, 16686}
    filled = read(ROOT / "compose.yaml", {**settings.load(environ={}), **jaeger.sets})
    for name in ("worker", "worker-emails", "beat", "loadgen", "gateway"):
        assert shipped.services[name].environment[ENDPOINT] == ""
        assert filled.services[name].environment[ENDPOINT] == "http://jaeger:4318"
