"""What compose.yaml and .env promise about every service, read from the files as they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SETTINGS = dict(
    line.split("=", 1) for line in (ROOT / ".env").read_text().splitlines() if "=" in line and not line.startswith("#")
)
IMAGES = {name: value for name, value in SETTINGS.items() if name.endswith("_IMAGE")}

every_service = pytest.mark.parametrize("name", SERVICES)


def of(name: str) -> dict[str, Any]:
    return SERVICES[name]


@every_service
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = of(name)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys()
    assert service.get("network_mode") is None


@every_service
def test_a_service_runs_as_a_user_with_no_root(name: str) -> None:
    assert re.fullmatch(r"[1-9]\d*:\d+", of(name)["user"])


@every_service
def test_a_service_has_limits(name: str) -> None:
    limits = of(name)["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[MG]", limits["memory"])
    assert 0 < int(limits["pids"]) <= 500
    assert of(name)["logging"]["options"].keys() == {"max-size", "max-file"}


@every_service
def test_a_service_has_a_health_check_that_ends(name: str) -> None:
    check = of(name)["healthcheck"]
    if check.get("disable"):
        assert name == "jaeger", "only an image with no program to check with may go without"
        return
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()
    told = " ".join(check["test"])
    assert re.search(r"timeout[ =]\d|wget ", told), "an engine may leave a check that takes too long running"
    assert "|| true" not in told


@every_service
def test_ports_are_on_loopback_and_each_is_set_by_one_variable(name: str) -> None:
    for port in of(name).get("ports", []):
        found = re.fullmatch(r"127\.0\.0\.1:\$\{([A-Z]+_PORT):-(\d+)\}:\d+", port)
        assert found, port
        assert SETTINGS[found.group(1)] == found.group(2), "the default in compose.yaml is that of .env"


def test_no_two_services_share_a_port() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == len({re.search(r"[A-Z]+_PORT", port).group() for port in ports})  # type: ignore[union-attr]


def test_two_copies_of_the_stack_can_run_side_by_side() -> None:
    assert not {"version", "name"} & COMPOSE.keys()
    for service in SERVICES.values():
        assert not {"container_name", "hostname"} & service.keys()
    for section in ("volumes", "networks"):
        assert not any("name" in (options or {}) for options in COMPOSE.get(section, {}).values())


@every_service
def test_an_image_comes_from_the_settings_or_is_the_projects_own(name: str) -> None:
    service = of(name)
    image = service["image"]
    variable = re.fullmatch(r"\$\{([A-Z]+_IMAGE):\?see \.env\}", image)
    if variable:
        assert variable.group(1) in IMAGES
    else:
        assert re.fullmatch(r"celery-observability/[a-z]+:\d+\.\d+\.\d+", image)
        assert service["build"]["dockerfile"] == "images/python.Dockerfile"
    assert service.get("pull_policy") != "always"


@pytest.mark.parametrize("variable", IMAGES)
def test_an_image_has_an_exact_tag(variable: str) -> None:
    assert re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+\.\d+(-[a-z]+)?", IMAGES[variable])


def test_no_secret_is_written_down() -> None:
    for service in SERVICES.values():
        for key, value in (service.get("environment") or {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN", key):
                assert re.fullmatch(r"(\$\{[A-Z_]+-)?/run/secrets/[a-z_]+\}?", str(value)), key
            assert not re.search(r"://[^/]*:[^/]*@", str(value)), key
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("${SECRETS_DIR:-./.state/secrets}/")


@every_service
def test_what_a_service_reads_from_the_checkout_it_cannot_change(name: str) -> None:
    for volume in of(name).get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith((".", "/", "$")):
            assert volume.endswith(":ro"), volume
        assert "docker.sock" not in volume
