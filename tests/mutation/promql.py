"""Expressions as trees: parsed by a real Prometheus, written back as text.

The tree is what Prometheus' `/api/v1/parse_query` answers, so no grammar is kept here; only `render` knows
how each kind of node is written.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from harness.binaries import find
from harness.ports import free_ports
from harness.wait import until

Node = dict[str, Any]


class Parser:
    """Turns PromQL into trees by asking the Prometheus at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def parse(self, expression: str) -> Node:
        """The tree of `expression`. Raises ValueError with Prometheus' own words when it does not parse."""
        answer = requests.get(f"{self.url}/api/v1/parse_query", params={"query": expression}, timeout=10).json()
        if answer["status"] != "success":
            raise ValueError(f"{expression!r} does not parse: {answer.get('error')}")
        tree: Node = answer["data"]
        return tree


@contextlib.contextmanager
def parser() -> Iterator[Parser]:
    """A parser over a Prometheus that scrapes nothing and is ended with the block."""
    prometheus = find("prometheus")
    with tempfile.TemporaryDirectory() as folder:
        port = free_ports(1)[0]
        config = Path(folder, "prometheus.yml")
        config.write_text("global: {}\n")
        log = Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                prometheus.command(
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                ),
                env=prometheus.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _ready(url, process, log), f"Prometheus to answer at {url}", timeout=60, interval=0.1)
            yield Parser(url)
        finally:
            process.terminate()
            process.wait(30)


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"Prometheus ended with {process.returncode}: {log.read_text()[-2000:]}")
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.ConnectionError:
        return False


def duration(milliseconds: int) -> str:
    """A PromQL duration, in the largest unit that says it exactly."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def render(node: Node) -> str:
    """The PromQL text of a tree. Operators are put in parentheses, so that no precedence is needed."""
    return _RENDERERS[node["type"]](node)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _selector(node: Node) -> str:
    matchers = [m for m in node["matchers"] if m["name"] != "__name__" or m["type"] != "=" or not node["name"]]
    inner = ",".join(f"{m['name']}{m['type']}{_quote(m['value'])}" for m in matchers)
    return (node["name"] or "") + (f"{{{inner}}}" if inner else "")


def _shift(node: Node) -> str:
    text = ""
    if node.get("timestamp") is not None:
        text += f" @ {node['timestamp'] / 1000}"
    elif node.get("startOrEnd"):
        text += f" @ {node['startOrEnd']}()"
    if node.get("offset"):
        sign = "-" if node["offset"] < 0 else ""
        text += f" offset {sign}{duration(abs(node['offset']))}"
    return text


def _matrix(node: Node) -> str:
    return f"{_selector(node)}[{duration(node['range'])}]{_shift(node)}"


def _subquery(node: Node) -> str:
    step = duration(node["step"]) if node.get("step") else ""
    return f"({render(node['expr'])})[{duration(node['range'])}:{step}]{_shift(node)}"


def _aggregation(node: Node) -> str:
    word = "without" if node["without"] else "by"
    labels = f" {word} ({', '.join(node['grouping'])})" if node["grouping"] or node["without"] else ""
    parameter = f"{render(node['param'])}, " if node["param"] else ""
    return f"{node['op']}{labels} ({parameter}{render(node['expr'])})"


def _binary(node: Node) -> str:
    match = node["matching"]
    words = node["op"] + (" bool" if node["bool"] else "")
    if match and (match["on"] or match["labels"]):
        words += f" {'on' if match['on'] else 'ignoring'} ({', '.join(match['labels'])})"
    if match and match["card"] in ("many-to-one", "one-to-many"):
        side = "group_left" if match["card"] == "many-to-one" else "group_right"
        words += f" {side} ({', '.join(match['include'])})"
    return f"({render(node['lhs'])} {words} {render(node['rhs'])})"


_RENDERERS = {
    "numberLiteral": lambda n: str(n["val"]),
    "stringLiteral": lambda n: _quote(n["val"]),
    "vectorSelector": lambda n: _selector(n) + _shift(n),
    "matrixSelector": _matrix,
    "subquery": _subquery,
    "aggregation": _aggregation,
    "binaryExpr": _binary,
    "unaryExpr": lambda n: f"({n['op']}{render(n['expr'])})",
    "parenExpr": lambda n: f"({render(n['expr'])})",
    "call": lambda n: f"{n['func']['name']}({', '.join(render(a) for a in n['args'])})",
}
