"""Turns a board into Grafana's own format, with Grafana's own builders."""

from __future__ import annotations

import itertools
import json
from typing import Any

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.runtime import UnknownDataquery
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.model import Board, Panel, Query, Variable

PROMETHEUS = models.DataSourceRef(type_val="prometheus", uid="prometheus")
JAEGER = models.DataSourceRef(type_val="jaeger", uid="jaeger")
REFS = "ABCDEFGHIJKLMNOP"

#: Labels that a table of several queries is joined by; the first that the queries share.
TABLE_KEYS = ("queue", "task")


class _Built:
    """A finished part where Grafana's builders want one that is still to be built."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def build(self) -> Any:
        return self._value


def dashboard_json(board: Board) -> str:
    """The text of the board's file: the same text for the same board, whenever it is made."""
    made = (
        builders.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["celery"])
        .readonly()
        .refresh("10s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Celery")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["celery"])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .annotation(_firing())
    )
    for variable in board.variables:
        made = made.with_variable(_variable(variable, board.variables))
    ids = itertools.count(1)
    for row in board.rows:
        if row.title:
            made = made.with_row(builders.Row(row.title).id(next(ids)))
        for panel in row.panels:
            made = made.with_panel(_panel(panel).id(next(ids)))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _firing() -> Any:
    # Where an alert began to fire, a line through every panel.
    return _Built(
        models.AnnotationQuery(
            name="Alerts",
            datasource=PROMETHEUS,
            enable=True,
            icon_color="red",
            expr='ALERTS{alertstate="firing", severity="critical", alertname!="Watchdog"}',
        )
    )


def _variable(variable: Variable, before: tuple[Variable, ...]) -> Any:
    # A later choice offers only what goes with an earlier one.
    earlier = before[: before.index(variable)]
    chosen = ", ".join(f'{other.name}=~"${other.name}"' for other in earlier)
    series = f"{variable.series}{{{chosen}}}" if chosen else variable.series
    return (
        builders.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(PROMETHEUS)
        .query({"query": f"label_values({series}, {variable.name})", "refId": variable.name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(panel: Panel) -> Any:
    made = {"stat": _stat, "table": _table, "traces": _traces}.get(panel.kind, _lines)(panel)
    made = made.title(panel.title).description(panel.about).span(panel.width).height(panel.height)
    if panel.kind != "traces":
        made = made.datasource(PROMETHEUS)
    return made


def _target(query: Query, ref: str) -> Any:
    return prometheus.Dataquery().expr(query.expr).legend_format(query.legend or "__auto").ref_id(ref)


def _thresholds(panel: Panel) -> Any:
    steps = [models.Threshold(value=None, color="green")]
    if panel.limits:
        if panel.limits.warning < panel.limits.critical:
            steps.append(models.Threshold(value=panel.limits.warning, color="orange"))
        steps.append(models.Threshold(value=panel.limits.critical, color="red"))
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _lines(panel: Panel) -> Any:
    made = (
        timeseries.Panel()
        .unit(panel.unit)
        .min(0)
        .line_width(2)
        .fill_opacity(30 if panel.kind == "area" else 8)
        .show_points(options.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(
            common.VizLegendOptions()
            .display_mode(options.LegendDisplayMode.LIST)
            .placement(options.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    )
    if panel.kind == "area":
        made = made.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    if panel.maximum is not None:
        made = made.max(panel.maximum)
    if panel.limits:
        made = made.thresholds(_thresholds(panel))
    if panel.link:
        title, url = panel.link
        made = made.data_links([builders.DashboardLink(title).url(url)])
    for ref, query in zip(REFS, panel.queries, strict=False):
        made = made.with_target(_target(query, ref).range())
    return made


def _stat(panel: Panel) -> Any:
    made = (
        stat.Panel()
        .unit(panel.unit)
        .color_mode(options.BigValueColorMode.VALUE)
        .graph_mode(options.BigValueGraphMode.AREA)
        .text_mode(options.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False))
        .thresholds(_thresholds(panel))
        .no_value("–")
    )
    for ref, query in zip(REFS, panel.queries, strict=False):
        made = made.with_target(_target(query, ref).range())
    return made


def _table(panel: Panel) -> Any:
    made = table.Panel().show_header(True).no_value("–")
    for ref, query in zip(REFS, panel.queries, strict=False):
        made = made.with_target(_target(query, ref).instant().format(PromQueryFormat.TABLE))
    hidden = {"Time": True, "__name__": True, "Value": not panel.columns and len(panel.queries) > 1}
    if not panel.columns:
        hidden |= {"instance": True, "job": True}
        return made.with_transformation(_transformation("organize", excludeByName=hidden))
    # One line for each queue (or queue and task), one column for each query.
    names = {f"Value #{ref}": title for ref, (title, _) in zip(REFS, panel.columns, strict=False)}
    made = made.with_transformation(_transformation("merge")).with_transformation(
        _transformation("organize", excludeByName=hidden, renameByName={**names, "queue": "Queue", "task": "Task"})
    )
    for title, unit in panel.columns:
        made = made.override_by_name(title, [models.DynamicConfigValue("unit", unit)])
    return made


def _transformation(kind: str, **settings: Any) -> models.DataTransformerConfig:
    return models.DataTransformerConfig(id_val=kind, options=settings)


def _traces(panel: Panel) -> Any:
    # The builders have none for Jaeger's queries.
    made = table.Panel().show_header(True).no_value("No traces, or no trace back end").datasource(JAEGER)
    for ref, query in zip(REFS, panel.queries, strict=False):
        data = {
            "refId": ref,
            "datasource": {"type": "jaeger", "uid": "jaeger"},
            "queryType": "search",
            "service": query.expr,
            "limit": 20,
        }
        made = made.with_target(_Built(UnknownDataquery(data)))
    return made
