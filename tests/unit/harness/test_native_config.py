"""Configuration folders as plain processes read them."""

import json
from pathlib import Path

import pytest
import yaml

from harness import native_config

PROMETHEUS = """
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: redis
    static_configs: [{targets: ["redis:9121"]}]
  - job_name: worker
    dns_sd_configs: [{names: [worker, worker-emails], type: A, port: 8000}]
    relabel_configs: [{source_labels: [__meta_dns_name], target_label: service}]
  - job_name: gateway
    dns_sd_configs: [{names: [gateway], type: A, port: 8080}]
  - job_name: itself
    static_configs: [{targets: ["localhost:9090"]}]
  - job_name: outside
    static_configs: [{targets: ["metrics.example.com:80"]}]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "rules").mkdir(parents=True)
    (folder / "prometheus.yml").write_text(PROMETHEUS, encoding="utf-8")
    (folder / "rules" / "a.yml").write_text("groups: [] # redis:9121\n", encoding="utf-8")
    (folder / "notes.txt").write_text("redis:9121", encoding="utf-8")
    return folder


def translate(text: str) -> str:
    return text.replace("redis:9121", "127.0.0.1:1")


def render(source: Path, target: Path, services: list[str]) -> dict[str, dict[str, object]]:
    native_config.copy(source, target, translate, Path("/targets"), services)
    content = yaml.safe_load((target / "prometheus.yml").read_text(encoding="utf-8"))
    return {job["job_name"]: job for job in content["scrape_configs"]}


def test_addresses_are_translated_in_yaml_alone(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    jobs = render(source, target, ["redis", "worker"])
    assert jobs["redis"]["static_configs"] == [{"targets": ["127.0.0.1:1"]}]
    assert "127.0.0.1:1" in (target / "rules" / "a.yml").read_text(encoding="utf-8")
    assert (target / "notes.txt").read_text(encoding="utf-8") == "redis:9121"


def test_what_was_found_by_name_is_found_by_file(source: Path, tmp_path: Path) -> None:
    job = render(source, tmp_path / "target", ["worker"])["worker"]
    assert "dns_sd_configs" not in job
    [found] = job["file_sd_configs"]  # type: ignore[misc]
    assert found["files"] == ["/targets/worker_8000.json", "/targets/worker-emails_8000.json"]
    assert job["relabel_configs"] == [{"source_labels": ["__meta_dns_name"], "target_label": "service"}]


def test_jobs_of_services_that_do_not_run_are_left_out_and_others_are_not(source: Path, tmp_path: Path) -> None:
    assert set(render(source, tmp_path / "target", ["worker-emails"])) == {"worker", "itself", "outside"}
    text = native_config.without_absent(PROMETHEUS, ["gateway"])
    assert [job["job_name"] for job in yaml.safe_load(text)["scrape_configs"]] == ["gateway", "itself", "outside"]


def test_a_second_rendering_touches_only_what_changed(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    render(source, target, ["worker"])
    before = (target / "rules" / "a.yml").stat().st_mtime_ns
    (source / "notes.txt").unlink()
    (source / "rules" / "b.yml").write_text("groups: []\n", encoding="utf-8")
    render(source, target, ["worker"])
    assert (target / "rules" / "a.yml").stat().st_mtime_ns == before
    assert (target / "rules" / "b.yml").exists()
    assert not (target / "notes.txt").exists()


def test_targets_come_and_go_with_the_copies_and_bear_the_name_as_dns_would(tmp_path: Path) -> None:
    native_config.write_targets(tmp_path, "worker", [{8000: 2}, {8000: 1}])
    native_config.write_targets(tmp_path, "worker-emails", [{8000: 3}])
    path = tmp_path / "worker_8000.json"
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {"targets": ["127.0.0.1:1", "127.0.0.1:2"], "labels": {"__meta_dns_name": "worker"}}
    ]
    native_config.write_targets(tmp_path, "worker", [])
    assert json.loads(path.read_text(encoding="utf-8")) == []
    assert json.loads((tmp_path / "worker-emails_8000.json").read_text(encoding="utf-8"))
