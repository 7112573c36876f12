"""Grafana's JSON as small typed builders: queries, panels, rows on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24  # the width of Grafana's grid


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression, and the legend of its series."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `line` draws a threshold; `unit` is Grafana's name of a unit."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"  # or "stat", "state-timeline"
    line: float | None = None
    low: float | None = 0.0
    high: float | None = None
    log: bool = False  # a logarithmic axis; `low` is then above zero
    text: str = ""  # a sentence for a newcomer


@dataclass(frozen=True, slots=True)
class PanelRow:
    """Panels next to each other under a heading."""

    title: str
    panels: tuple[Panel, ...]
    height: int = 8


def layout(rows: Sequence[PanelRow]) -> list[Json]:
    """Return the rows as Grafana's panels, numbered and placed from the top down."""
    placed: list[Json] = []
    top = 0
    for row in rows:
        placed.append(_heading(row.title, len(placed) + 1, top))
        width = COLUMNS // len(row.panels)
        for column, panel in enumerate(row.panels):
            place = {"h": row.height, "w": width, "x": column * width, "y": top + 1}
            placed.append(_panel(panel, len(placed) + 1, place))
        top += row.height + 1
    return placed


def _heading(title: str, id: int, top: int) -> Json:
    place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
    return {"id": id, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}


def _panel(panel: Panel, id: int, place: Json) -> Json:
    return {
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "gridPos": place,
        "datasource": DATASOURCE,
        "targets": [_target(query, index) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _target(query: Query, index: int) -> Json:
    named = {"legendFormat": query.legend} if query.legend else {}
    return {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": query.expression, **named}


def _defaults(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    custom: Json = {}
    if panel.line is not None:
        steps.append({"color": "red", "value": panel.line})
        custom = {"thresholdsStyle": {"mode": "dashed"}}
    if panel.kind == "timeseries":
        scale: Json = {"scaleDistribution": {"type": "log", "log": 10}} if panel.log else {}
        custom = {"fillOpacity": 8, "showPoints": "never", "spanNulls": True, **scale, **custom}
    limits = {key: value for key, value in (("min", panel.low), ("max", panel.high)) if value is not None}
    return {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}, "custom": custom, **limits}


def _options(panel: Panel) -> Json:
    if panel.kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area", "textMode": "value_and_name"}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
