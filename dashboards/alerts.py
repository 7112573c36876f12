"""The rules as Grafana's provisioning API has them."""

from __future__ import annotations

import re

from dashboards import pages
from dashboards.panels import Json
from dashboards.rules import RULES, Figure, Rule

FOLDER = "homeostat"  # uid of the folder the rules live in
GROUP = "homeostat"
EVERY_S = 60
SAMPLING: Json = {"intervalMs": 1000, "maxDataPoints": 43200}  # Grafana's own defaults, said so that a push compares


def group(datasource: str, grafana: str, folder: str = FOLDER) -> list[Json]:
    """Return all rules, reading from the data source with that uid. `grafana`: the address of its pages."""
    return [rule_json(rule, datasource, grafana, folder) for rule in RULES]


def rule_json(rule: Rule, datasource: str, grafana: str = "", folder: str = FOLDER) -> Json:
    """Return one rule. B is its condition, A its expression, the others are figures of its text."""
    figures = [_query(refid, f.expression, datasource) for refid, f in _figures(rule).items() if f.expression]
    return {
        "uid": rule.uid,
        "title": rule.title,
        "folderUID": folder,
        "ruleGroup": GROUP,
        "orgID": 1,
        "condition": "B",
        "data": [_query("A", rule.expression, datasource), _above_zero(), *figures],
        "for": rule.for_,
        "noDataState": "OK",
        "execErrState": "Error",
        "isPaused": False,
        "labels": {"severity": rule.severity, "product": "homeostat"},
        "annotations": {
            "summary": written(rule, rule.summary),
            "description": written(rule, f"Since <since>. {rule.do}"),
            "runbook_url": pages.link(grafana, rule.uid),
        },
    }


def written(rule: Rule, text: str) -> str:
    """Return the text as a template of Grafana's."""
    figures = {name: (refid, figure) for (refid, figure), name in zip(_figures(rule).items(), NAMES, strict=True)}

    def put(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in figures:
            return f"{{{{ $labels.{name} }}}}"
        refid, figure = figures[name]
        return f"{{{{ $values.{refid if figure.expression else 'A'}.Value | {figure.form} }}}}"

    return re.sub(r"<(\w+)>", put, text)


NAMES = ("amount", "since")


def _figures(rule: Rule) -> dict[str, Figure]:
    return {"C": rule.amount, "D": rule.since}


def _query(refid: str, expression: str, datasource: str) -> Json:
    model = {
        "refId": refid,
        "expr": expression,
        "instant": True,
        "range": False,
        **SAMPLING,
    }
    return {"refId": refid, "datasourceUid": datasource, "relativeTimeRange": {"from": 600, "to": 0}, "model": model}


def _above_zero() -> Json:
    condition = {"type": "query", "evaluator": {"type": "gt", "params": [0]}}
    model = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "conditions": [condition],
        "datasource": {"type": "__expr__", "uid": "__expr__"},
        **SAMPLING,
    }
    return {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0, "to": 0}, "model": model}
