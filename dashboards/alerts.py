"""The rules as Grafana's provisioning API has them."""

from __future__ import annotations

from dashboards.panels import Json
from dashboards.rules.rule import Figure, Rule
from dashboards.rules.table import RULES
from dashboards.texts import texts

FOLDER = "homeostat"  # uid of the folder the rules live in
GROUP = "homeostat"
EVERY_S = 60
FIGURES = {"amount": "C", "since": "D"}  # refids of the queries for a text's figures
SAMPLING: Json = {"intervalMs": 1000, "maxDataPoints": 43200}  # Grafana's own defaults, given so that a push compares


def group(datasource: str, grafana: str, folder: str = FOLDER) -> list[Json]:
    """Return all rules, which read from the data source with that uid. `grafana`: the address of its pages."""
    return [rule_json(rule, datasource, grafana, folder) for rule in RULES]


def rule_json(rule: Rule, datasource: str, grafana: str = "", folder: str = FOLDER) -> Json:
    """Return one rule. B is its condition, A its expression; the other queries are figures of its text."""
    asked = {FIGURES["amount"]: rule.amount.expression, FIGURES["since"]: rule.since.expression}
    figures = [_query(refid, expression, datasource) for refid, expression in asked.items() if expression]
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
        "annotations": texts(rule, grafana, _shown),
    }


def _shown(name: str, figure: Figure) -> str:
    return f"{{{{ $values.{FIGURES[name] if figure.expression else 'A'}.Value | {figure.form} }}}}"


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
