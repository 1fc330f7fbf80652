"""The test clock changes durations and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness import durations
from harness.binaries import find
from harness.clock import ClockError, render, rendered
from harness.promql import rescale

ROOT = Path(__file__).parents[3]
FACTOR = 15


@pytest.mark.parametrize(
    ("written", "on_the_clock"),
    [
        ("15s", "1s"),
        ("5m", "20s"),
        ("1h30m", "6m"),
        ("1d", "96m"),
        ("10s", "667ms"),
        ("5ms", "1ms"),  # never nothing, where it was something
        ("0s", "0s"),
    ],
)
def test_a_duration_is_divided(written: str, on_the_clock: str) -> None:
    assert durations.divided(written, FACTOR) == on_the_clock


@given(st.integers(min_value=0, max_value=10**12))
def test_a_length_survives_being_written_and_read(length: int) -> None:
    assert durations.milliseconds(durations.written(length)) == length


@pytest.mark.parametrize("text", ["", "5", "5x", "1s5m", "5 m", "-5m", "1.5m", "5m5m"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(durations.DurationError, match="write it as 15s"):
        durations.milliseconds(text)


@pytest.mark.parametrize(
    ("expression", "on_the_clock"),
    [
        ("rate(a[5m]) > 0.5", "rate(a[20s]) > 0.5"),
        ("job:exec_p99:5m > 5", "job:exec_p99:5m > 5"),
        ("sum(rate(x{le=\"5m\",w='10m'}[10m])) by (queue)", "sum(rate(x{le=\"5m\",w='10m'}[40s])) by (queue)"),
        ("max_over_time(a:b:rate5m[1h:30s]) offset 1d", "max_over_time(a:b:rate5m[4m:2s]) offset 96m"),
        ("a offset -1h", "a offset -4m"),
        ("predict_linear(d[30m], 3600) # in 30m", "predict_linear(d[2m], 3600) # in 30m"),
        ('a{q=~"[5m]"} and b[1m]', 'a{q=~"[5m]"} and b[4s]'),
        ("a > 14.4 * 0.001", "a > 14.4 * 0.001"),
    ],
)
def test_an_expression_keeps_everything_but_its_durations(expression: str, on_the_clock: str) -> None:
    assert rescale(expression, lambda d: durations.divided(d, FACTOR)) == on_the_clock


def test_a_duration_that_stands_for_a_number_is_refused() -> None:
    with pytest.raises(ClockError, match=r"rules\.yml: line 4: 5m stands for a number"):
        rendered("groups:\n- name: a\n  rules:\n  - expr: time() - t > 5m\n    alert: A\n", FACTOR, "rules.yml")


def test_rules_keep_their_texts_and_comments() -> None:
    text = """\
groups:
  - name: queue  # every 15s
    interval: 15s
    rules:
      - alert: Slow
        # 5m is short
        expr: |
          rate(a{for="5m"}[5m])  # of the last 5m
            > 0.5
        for: 10m
        keep_firing_for: 5m
        labels: {window: 5m, for: 10m}
        annotations:
          summary: 'Within 5m {{ printf "a[5m]" }}'
          description: 'In the last 5m {{ with query "rate(a{q=\\"5m\\"}[5m])" }}it was slow{{ end }}.'
      - record: "a:rate5m"
        expr: "rate(a{q=\\"5m\\"}[5m])"
"""
    expected = (
        text.replace("interval: 15s", "interval: 1s")
        .replace('rate(a{for="5m"}[5m])', 'rate(a{for="5m"}[20s])')
        .replace("        for: 10m", "        for: 40s")
        .replace("keep_firing_for: 5m", "keep_firing_for: 20s")
        .replace(
            """'In the last 5m {{ with query "rate(a{q=\\"5m\\"}[5m])" }}it was slow{{ end }}.'""",
            r'''"In the last 5m {{ with query \"rate(a{q=\\\"5m\\\"}[20s])\" }}it was slow{{ end }}."''',
        )
        .replace('rate(a{q=\\"5m\\"}[5m])', 'rate(a{q=\\"5m\\"}[20s])')
    )
    assert rendered(text, FACTOR) == expected


def test_a_scrape_timeout_never_exceeds_its_interval_and_is_not_shortened_further() -> None:
    text = "global: {scrape_interval: 15s, scrape_timeout: 10s, evaluation_interval: 15s}\nscrape_configs: []\n"
    assert rendered(text, FACTOR).startswith(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}"
    )
    assert rendered(text, 1) == text


def test_alertmanagers_waits_are_divided_and_its_times_of_day_are_not() -> None:
    text = """\
global: {resolve_timeout: 5m}
route:
  group_wait: 30s
  routes: [{group_interval: 5m, repeat_interval: 4h, mute_time_intervals: [night]}]
receivers:
  - name: inbox
    webhook_configs: [{url: http://inbox, timeout: 15s}]
time_intervals:
  - name: night
    time_intervals: [{times: [{start_time: "00:00", end_time: "06:00"}]}]
"""
    expected = (
        text.replace("resolve_timeout: 5m", "resolve_timeout: 20s")
        .replace("group_wait: 30s", "group_wait: 2s")
        .replace("group_interval: 5m", "group_interval: 20s")
        .replace("repeat_interval: 4h", "repeat_interval: 16m")
    )
    assert rendered(text, FACTOR) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: [", "rules.yml is not YAML"),
        ("groups: [{interval: soon}]", "rules.yml: line 1: not a duration: 'soon'"),
        ("groups: [{rules: [{expr: 'rate(a[5m'}]}]", "rules.yml: line 1: a bracket is not closed"),
        ("global: {scrape_timeout: 5s}", "a scrape_timeout without a scrape_interval beside it"),
    ],
)
def test_what_cannot_be_rendered_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ClockError, match=re.escape(message)) as caught:
        rendered(text, FACTOR, "rules.yml")
    assert "\n" not in str(caught.value)


def test_a_factor_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClockError, match="factor is 0"):
        render(tmp_path, tmp_path / "copy", 0)


# The files as shipped.

_DURATION_KEYS = {
    "for", "keep_firing_for", "interval", "query_offset", "scrape_interval", "scrape_timeout", "evaluation_interval",
    "refresh_interval", "rule_query_offset", "group_wait", "group_interval", "repeat_interval", "resolve_timeout",
}  # fmt: skip


def _without_durations(node: object, path: tuple[str, ...] = ()) -> object:
    """The meaning of a file with every duration left blank: by another way than the renderer's."""
    if isinstance(node, dict):
        return {
            key: "<duration>"
            if key in _DURATION_KEYS and not {"labels", "annotations"} & set(path)
            else re.sub(r"(?<=\[)[^\]\"]+(?=\])|(?<=offset )\S+", "<duration>", str(value))
            if key in {"expr", "summary", "description"}
            else _without_durations(value, (*path, str(key)))
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_without_durations(item, path) for item in node]
    return node


@pytest.mark.parametrize("folder", ["prometheus", "alertmanager"])
def test_the_shipped_files_and_the_rendered_ones_differ_in_durations_only(folder: str, tmp_path: Path) -> None:
    render(ROOT / folder, tmp_path / folder, FACTOR)
    sources = [
        p for p in sorted((ROOT / folder).rglob("*")) if p.is_file() and "tests" not in p.parts[len(ROOT.parts) :]
    ]
    assert sources, f"{folder}/ holds no file"
    changed = 0
    for source in sources:
        copy = tmp_path / folder / source.relative_to(ROOT / folder)
        if source.suffix not in {".yml", ".yaml"}:
            assert copy.read_bytes() == source.read_bytes()
            continue
        before, after = source.read_text(), copy.read_text()
        assert _without_durations(yaml.safe_load(after)) == _without_durations(yaml.safe_load(before)), source
        assert before.count("\n") == after.count("\n"), f"{source}: lines were lost"
        changed += before != after
    assert changed, "nothing was divided"
    assert not (tmp_path / folder / "tests").exists()


def test_promtool_accepts_the_rendered_rules_and_configuration(tmp_path: Path) -> None:
    render(ROOT / "prometheus", tmp_path / "prometheus", FACTOR)
    tool = find("promtool")
    command = tool.command("check", "config", "--syntax-only", str(tmp_path / "prometheus" / "prometheus.yml"))
    result = subprocess.run(
        command, env={**os.environ, **tool.env}, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    rules = [str(p) for p in (tmp_path / "prometheus" / "rules").glob("*.yml")]
    assert rules
    result = subprocess.run(
        tool.command("check", "rules", "--lint=none", *rules),
        env={**os.environ, **tool.env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_amtool_accepts_the_rendered_configuration(tmp_path: Path) -> None:
    render(ROOT / "alertmanager", tmp_path / "alertmanager", FACTOR)
    tool = find("amtool")
    command = tool.command("check-config", str(tmp_path / "alertmanager" / "alertmanager.yml"))
    result = subprocess.run(
        command, env={**os.environ, **tool.env}, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
