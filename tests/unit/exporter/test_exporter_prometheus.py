"""A real Prometheus: the first increment of every counter is an increase, and the page is taken in as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from shopfleet import LONG, Fleet

from harness.binaries import find
from harness.child import running
from harness.clients import Prometheus
from harness.ports import free_ports
from harness.wait import until

pytestmark = [pytest.mark.redis]

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: celery
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def test_the_first_failure_of_a_new_kind_is_an_increase(fleet: Fleet, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(port=fleet.exporter.port))
    tool = find("prometheus")
    command = tool.command(
        f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}"
    )

    prometheus = Prometheus(f"http://127.0.0.1:{port}")
    with running(command, log=tmp_path / "prometheus.log", env={**os.environ, **tool.env}):
        up = 'up{job="celery"}'
        until(lambda: (prometheus.value(f"count_over_time({up}[1m])") or 0) >= 3, "three scrapes", LONG)
        assert prometheus.value(f"min_over_time({up}[1m])") == 1
        fleet.send("shop.fail")
        for series in (
            'celery_task_failed_total{exception="ValueError"}',
            'celery_task_failures_total{name="shop.fail"}',
            'celery_task_sent_total{name="shop.fail"}',
            'celery_task_queue_wait_time_count{name="shop.fail"}',
        ):
            # Between two samples that are 0 and 1 lies an increase; Prometheus stretches it to the range's ends.
            increase = f"increase({series}[1m])"
            until(lambda increase=increase: (prometheus.value(increase) or 0) >= 1, increase, LONG)
            assert prometheus.value(f"min_over_time({series}[1m])") == 0
