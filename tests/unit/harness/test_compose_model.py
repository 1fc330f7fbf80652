"""The compose file as typed services: the shipped one, and the ways to write a service."""

from pathlib import Path

import pytest

from harness import settings
from harness.compose_model import Model, Mount, Port, duration, read, variables_of
from harness.errors import BadInputError
from harness.paths import ROOT


def model(folder: Path, services: str, variables: dict[str, str] | None = None) -> Model:
    """The model of a compose file with these services."""
    path = folder / "compose.yaml"
    path.write_text(
        f"x-base: &base\n  restart: unless-stopped\n  tmpfs: [/tmp]\nservices:\n{services}", encoding="utf-8"
    )
    return read(path, variables or {})


def test_the_shipped_file_has_every_part_with_a_way_to_know_that_it_is_healthy() -> None:
    shipped = read(ROOT / "compose.yaml", settings.load(environ={}))
    assert {"redis", "worker", "celery-exporter", "prometheus", "alertmanager", "inbox"} <= set(shipped.services)
    unchecked = {name for name, service in shipped.services.items() if service.health is None}
    assert unchecked <= {"jaeger"}
    assert shipped.services["worker"].port(8000) == Port(8000)
    assert shipped.services["prometheus"].port().variable == "PROMETHEUS_PORT"
    assert all(service.restarts for service in shipped.services.values())


def test_anchors_and_merges_are_read_and_what_a_service_says_itself_wins(tmp_path: Path) -> None:
    services = model(tmp_path, "  a: {<<: *base, tmpfs: [/x]}\n  b: {<<: *base}\n").services
    assert services["a"].mounts == (Mount("tmpfs", "", "/x"),)
    assert services["b"].mounts == (Mount("tmpfs", "", "/tmp"),)
    assert services["b"].restarts


def test_ports_tell_their_setting(tmp_path: Path) -> None:
    text = '  a: {ports: ["127.0.0.1:${A_PORT:-1234}:80", "5000:81"], expose: ["8000"]}\n'
    assert model(tmp_path, text).services["a"].ports == (Port(80, 1234, "A_PORT"), Port(81, 5000, ""), Port(8000))
    assert model(tmp_path, text, {"A_PORT": "99"}).services["a"].port().published == 99


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused_by_the_name_of_its_setting(tmp_path: Path, value: str) -> None:
    with pytest.raises(BadInputError, match=f"A_PORT='{value}'"):
        model(tmp_path, '  a: {ports: ["127.0.0.1:${A_PORT:-1234}:80"]}\n', {"A_PORT": value})


def test_commands_and_health_checks_in_both_spellings(tmp_path: Path) -> None:
    services = model(
        tmp_path,
        """  a: {command: "run 'two words'", healthcheck: {test: "curl x", interval: 2s, start_period: 1m}}
  b: {command: [run, two], healthcheck: {test: [CMD, check, it]}}
  c: {healthcheck: {disable: true}}
""",
    ).services
    assert services["a"].command == ("run", "two words")
    assert services["a"].health is not None
    assert (services["a"].health.shell, services["a"].health.test) == (True, ("curl x",))
    assert (services["a"].health.interval, services["a"].health.start_period) == (2.0, 60.0)
    assert services["b"].health is not None
    assert (services["b"].health.shell, services["b"].health.test) == (False, ("check", "it"))
    assert services["c"].health is None


def test_environment_as_mapping_and_as_list_takes_bare_names_from_the_caller(tmp_path: Path) -> None:
    services = model(
        tmp_path, "  a: {environment: {A: 1, B: true, C: , D: }}\n  b: {environment: [A=x=y, C, D]}\n", {"C": "caller"}
    ).services
    assert services["a"].environment == {"A": "1", "B": "true", "C": "caller"}
    assert services["b"].environment == {"A": "x=y", "C": "caller"}


def test_volumes_binds_and_secrets_know_what_they_are(tmp_path: Path) -> None:
    text = '  a: {volumes: ["./here:/there:ro", "data:/data"], secrets: [pw]}\nsecrets: {pw: {file: ./pw.txt}}\n'
    assert model(tmp_path, text).services["a"].mounts == (
        Mount("bind", str(tmp_path / "here"), "/there", True),
        Mount("volume", "data", "/data"),
        Mount("bind", str(tmp_path / "pw.txt"), "/run/secrets/pw", True),
    )


def test_selection_by_profile_and_by_name(tmp_path: Path) -> None:
    found = model(tmp_path, "  a: {image: x}\n  b: {profiles: [more]}\n  c: {profiles: [other]}\n")
    assert list(found.select()) == ["a"]
    assert list(found.select(["more"])) == ["a", "b"]
    assert list(found.select(only=["c"])) == ["c"]
    with pytest.raises(BadInputError, match="PROFILES=nope is unknown; the profiles are more, other"):
        found.select(["nope"])
    with pytest.raises(BadInputError, match="service 'x' is unknown"):
        found.select(only=["x"])


def test_durations() -> None:
    assert [duration(text) for text in ("1m30s", "250ms", "2h")] == [90.0, 0.25, 7200.0]
    with pytest.raises(BadInputError, match="'soon' is not a duration"):
        duration("soon")


def test_a_file_that_is_missing_or_broken_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        read(tmp_path / "none.yaml", {})
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(BadInputError, match="is not YAML") as refused:
        read(tmp_path / "bad.yaml", {})
    assert "\n" not in str(refused.value)


def test_variables_of_a_file_are_those_it_reads_not_those_it_escapes(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text("a: ${ONE:-x} $TWO $$(cat y) $$THREE", encoding="utf-8")
    assert variables_of(path) == {"ONE", "TWO"}
