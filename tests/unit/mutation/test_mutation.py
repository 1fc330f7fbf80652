"""The mutation test itself: it reads expressions faithfully and makes the changes that it says it makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.mutation.durations import milliseconds, multiplied
from tests.mutation.judge import Cases, Judge
from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.needs import Needs, only
from tests.mutation.operators import changes_of_expression, changes_of_fields
from tests.mutation.promql import Parser, parser, render

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Parser]:
    with parser() as ours:
        yield ours


def _plain(node: Any) -> Any:
    """A tree without parentheses, which `render` adds and which mean nothing."""
    if isinstance(node, dict):
        if node.get("type") == "parenExpr":
            return _plain(node["expr"])
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(item) for item in node] if isinstance(node, list) else node


def test_every_committed_expression_is_written_back_as_it_was(prometheus: Parser) -> None:
    expressions = [
        str(rule["expr"])
        for path in sorted((ROOT / "prometheus" / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    assert expressions
    for expression in expressions:
        tree = prometheus.parse(expression)
        assert _plain(prometheus.parse(render(tree))) == _plain(tree), expression


@pytest.mark.parametrize(
    ("expression", "change", "after"),
    [
        ("a > 5", "> became >=", "(a >= 5)"),
        ("a > 5", "5 became 50", "(a > 50)"),
        ("a > 5", "5 became 0.5", "(a > 0.5)"),
        ("rate(a[5m])", "window 300s became 1200s", "rate(a[20m])"),
        ("a unless on (q, z) b", "label z dropped from on()", "(a unless on (q) b)"),
        ("a and b > 1", "clause after 'and' dropped: (b > 1)", "a"),
        ("sum by (q, z) (a)", "label q dropped from sum's grouping", "sum by (z) (a)"),
        ('a{x="1",y="2"}', "matcher x='1' dropped from a", 'a{y="2"}'),
        ("a offset 1d", "offset dropped", "a"),
    ],
)
def test_an_expression_is_changed_in_this_way(prometheus: Parser, expression: str, change: str, after: str) -> None:
    assert dict(changes_of_expression(prometheus.parse(expression)))[change] == after


def test_fields_are_changed_one_at_a_time() -> None:
    rule = {"alert": "A", "expr": "a", "for": "5m", "labels": {"severity": "critical"}, "annotations": {"summary": "s"}}
    changes = dict(changes_of_fields(rule))
    assert changes["'for' dropped"] == {key: value for key, value in rule.items() if key != "for"}
    assert changes["'for' times 4"]["for"] == "20m"
    assert changes["severity critical became warning"]["labels"] == {"severity": "warning"}
    assert changes["annotation summary emptied"]["annotations"] == {"summary": ""}


def test_durations_are_read_as_prometheus_reads_them() -> None:
    assert milliseconds("1h30m") == 5_400_000
    assert multiplied("15s", 4) == "1m"
    with pytest.raises(ValueError, match="soon"):
        milliseconds("soon")


def test_the_judge_notices_a_wrong_rule_and_passes_the_right_one(tmp_path: Path, prometheus: Parser) -> None:
    source = tmp_path / "source"
    (source / "rules").mkdir(parents=True)
    (source / "tests").mkdir()
    rules = source / "rules" / "r.yml"
    rules.write_text("groups: [{name: g, rules: [{record: twice, expr: a * 2}]}]")
    case = {"expr": "twice", "eval_time": "0m", "exp_samples": [{"labels": "twice", "value": 6}]}
    test = {"rule_files": ["../rules/r.yml"], "tests": [{"input_series": [{"series": "a", "values": "3"}]}]}
    test["tests"][0]["promql_expr_test"] = [case]
    (source / "tests" / "t.yml").write_text(yaml.safe_dump(test))
    judge = Judge(Cases(source, prometheus), tmp_path / "judge")
    assert judge.unmutated_failures() == []
    mutants = {mutant.change: mutant for mutant in mutants_of(rules, prometheus)}
    assert judge.noticed_by(mutants["* became /"]) == "t.yml"
    assert judge.noticed_by(Mutant("r.yml", "twice", "nothing", rules.read_text())) is None
    assert judge.unmutated_failures() == []


def test_a_case_needs_what_it_asserts_and_what_that_is_made_of(prometheus: Parser) -> None:
    rules = [
        {"record": "base", "expr": "raw * 2"},
        {"record": "other", "expr": "raw"},
        {"record": "paged", "expr": 'ALERTS{alertstate="firing"}'},
        {"alert": "Loud", "expr": "base > 1"},
    ]
    needs = Needs([{"groups": [{"name": "g", "rules": rules}]}], prometheus)
    assert needs.of_case({"alert_rule_test": [{"alertname": "Loud"}]}) == {"Loud", "base"}
    assert needs.of_case({"promql_expr_test": [{"expr": "sum(other)"}]}) == {"other"}
    assert needs.of_case({"promql_expr_test": [{"expr": "paged"}]}) == {"paged", "Loud", "base"}
    kept = only({"groups": [{"name": "g", "rules": rules}, {"name": "h", "rules": rules[:1]}]}, {"other"})
    assert kept == {"groups": [{"name": "g", "rules": [{"record": "other", "expr": "raw"}]}]}
