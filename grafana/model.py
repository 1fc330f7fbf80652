"""What a dashboard of this stack is made of: titles, queries and units, and nothing of Grafana's own format."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Units by Grafana's names.
SECONDS, PER_SECOND, RATIO, COUNT, BYTES = "s", "ops", "percentunit", "short", "bytes"


@dataclass(frozen=True)
class Query:
    """One PromQL query and how its series are called in the legend.

    needs: what has to be going on for the query to answer at all, such as a failing task or an optional part of
    the stack; empty where it answers on every running stack.
    """

    expr: str
    legend: str = ""
    needs: str = ""


@dataclass(frozen=True)
class Limits:
    """From which value on a panel turns orange and red."""

    warning: float
    critical: float


@dataclass(frozen=True)
class Panel:
    """One panel. `kind` is lines, area (stacked), stat, table or traces; width is of 24, height in Grafana's rows."""

    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = COUNT
    kind: str = "lines"
    width: int = 12
    height: int = 8
    limits: Limits | None = None
    maximum: float | None = None
    #: Of a table: unit and title by the name of a query's column, in order.
    columns: tuple[tuple[str, str], ...] = ()
    #: Where a click on a series leads.
    link: tuple[str, str] | None = None


@dataclass(frozen=True)
class Row:
    """Panels under one heading; without a title the heading is left out."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A choice at the top of a dashboard: the values of a label, all of them unless chosen."""

    name: str
    label: str
    #: The series whose label is offered.
    series: str


@dataclass(frozen=True)
class Board:
    """A dashboard. The uid is fixed: alerts link to it."""

    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = field(default=())

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.uid.removeprefix('celery-')}.json"

    @property
    def panels(self) -> list[Panel]:
        """All panels, in order."""
        return [panel for row in self.rows for panel in row.panels]
