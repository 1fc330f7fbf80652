"""Every PromQL query of the dashboards, ready to be asked: `python -m grafana.queries` prints them."""

from __future__ import annotations

from dataclasses import dataclass

from grafana.boards import BOARDS
from grafana.model import Variable


@dataclass(frozen=True)
class PanelQuery:
    """One query with every variable at "all".

    needs: what has to be going on for it to answer; empty where it answers on every running stack under load.
    """

    dashboard: str
    panel: str
    expr: str
    needs: str


def queries() -> list[PanelQuery]:
    """Every query of every panel, those behind the variables among them, in the order of the dashboards."""
    found = []
    for board in BOARDS:
        for variable in board.variables:
            found.append(PanelQuery(board.uid, f"variable {variable.name}", variable.series, ""))
        for panel in board.panels:
            if panel.kind != "traces":
                found += [
                    PanelQuery(board.uid, panel.title, substituted(query.expr, board.variables), query.needs)
                    for query in panel.queries
                ]
    return found


def substituted(expr: str, variables: tuple[Variable, ...]) -> str:
    """The query with every variable at "all"."""
    for variable in variables:
        expr = expr.replace(f'"${variable.name}"', '".*"')
    return expr


if __name__ == "__main__":
    for query in queries():
        print(query.dashboard, query.panel, query.needs or "-", " ".join(query.expr.split()), sep="\t")
