"""What the documentation says is there, is there, and nothing else; and the rules people have still find it."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from shopfleet import LONG, QUICK, Fleet, is_up, producing, shop_worker

from exporter import catalogue
from harness.private_exporter import private_exporter
from harness.private_redis import PrivateRedis
from harness.promql import names
from harness.wait import until

pytestmark = [pytest.mark.redis]

PAGE = Path(__file__).parents[3] / "docs" / "exporter-metrics.md"

# As published by the exporter that this one replaces: its metrics with their labels, and the expressions of its rules.
UPSTREAM = {
    **{
        f"celery_task_{event}_total": {"name", "hostname", "queue_name"}
        for event in ("sent", "received", "started", "succeeded", "rejected", "revoked", "retried")
    },
    "celery_task_failed_total": {"name", "hostname", "queue_name", "exception"},
    "celery_task_runtime_bucket": {"name", "hostname", "queue_name", "le"},
    "celery_task_runtime_sum": {"name", "hostname", "queue_name"},
    "celery_task_runtime_count": {"name", "hostname", "queue_name"},
    "celery_task_queue_wait_time_bucket": {"name", "hostname", "queue_name", "le"},
    "celery_worker_up": {"hostname"},
    "celery_worker_tasks_active": {"hostname"},
    "celery_queue_length": {"queue_name"},
    "celery_active_consumer_count": {"queue_name"},
    "celery_active_worker_count": {"queue_name"},
    "celery_active_process_count": {"queue_name"},
}
RULES = (
    'sum(increase(celery_task_failed_total{job="celery-exporter", queue_name!~"None", name!~"None"}[10m]))'
    " by (job, namespace, queue_name, name) / (sum(increase(celery_task_failed_total[10m]))"
    " by (job, namespace, queue_name, name) + sum(increase(celery_task_succeeded_total[10m]))"
    " by (job, namespace, queue_name, name)) * 100 > 5",
    'sum(celery_queue_length{job="celery-exporter", queue_name!~"None"}) by (job, namespace, queue_name) > 100',
    'celery_worker_up{job="celery-exporter"} == 0',
)


def _rows() -> list[tuple[str, ...]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [tuple(cell.strip().strip("`") for cell in line.strip("|").split("|")) for line in lines]


def test_the_page_says_what_the_catalogue_says() -> None:
    assert catalogue.markdown().strip() in PAGE.read_text(), "run python -m exporter.catalogue and put it into the page"
    assert len(_rows()) == len(catalogue.PREFIXED) + len(catalogue.PROCESS)


def test_the_page_and_the_running_exporter_agree(fleet: Fleet) -> None:
    fleet.send("shop.fail")
    fleet.send("shop.again")
    fleet.until_total(2, "celery_task_failures_total")
    until(lambda: fleet.exporter.total("celery_exporter_inspect_timestamp_seconds") > 0, "an answer", LONG)
    families = {family.name: family for family in text_string_to_metric_families(fleet.exporter.text())}
    documented = {}
    for name, kind, labels, *_ in _rows():
        documented[name.removesuffix("_total") if kind == "counter" else name] = (kind, set(labels.split(", ")) - {"-"})
    assert set(families) == set(documented)
    for name, family in families.items():
        kind, labels = documented[name]
        assert family.type == kind, name
        assert family.samples, f"nothing is known of {name}"
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == labels, sample


def test_dashboards_and_rules_of_the_exporter_people_have_find_their_series(
    redis_server: PrivateRedis, tmp_path: Path
) -> None:
    with (
        private_exporter(redis_server.url, tmp_path, (*QUICK, "--task-hostname")) as exporter,
        shop_worker(redis_server.url, tmp_path),
        producing(redis_server.url) as producer,
    ):
        until(is_up(exporter), "the worker to be up", LONG)
        producer.send_task("shop.add")
        producer.send_task("shop.fail")
        until(lambda: exporter.total("celery_task_failed_total", exception="ValueError") == 1, "the failure", LONG)
        until(lambda: exporter.total("celery_task_succeeded_total") == 1, "the success", LONG)
        until(lambda: exporter.total("celery_active_process_count") == 2, "the pool's size", LONG)
        found: dict[str, set[str]] = {}
        for name, labels in exporter.series():
            found[name] = {label for label, _ in labels}
        for name, labels in UPSTREAM.items():
            # Workers have one label more, so that two of one host are told apart.
            extra = {"worker"} if name.startswith("celery_worker_") else set()
            assert found[name] - extra == labels, name
        for rule in RULES:
            assert names(rule) <= set(found), rule
