"""The rules as Prometheus reads them, for pages by Alertmanager."""

from __future__ import annotations

from dashboards.panels import Json
from dashboards.rules.rule import Figure, Rule
from dashboards.rules.table import RULES
from dashboards.texts import texts

EVERY = "15s"


def groups(grafana: str) -> Json:
    """Return the rules file. `grafana`: the address of the pages that the rules link to."""
    return {"groups": [{"name": "homeostat", "interval": EVERY, "rules": [_rule(rule, grafana) for rule in RULES]}]}


def resource(grafana: str) -> Json:
    """Return the same for the Prometheus operator of a Kubernetes cluster."""
    metadata = {"name": "homeostat", "labels": {"app.kubernetes.io/name": "homeostat"}}
    head = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": metadata}
    return {**head, "spec": groups(grafana)}


def _rule(rule: Rule, grafana: str) -> Json:
    return {
        "alert": rule.uid,
        "expr": f"({rule.expression}) > 0",
        "for": rule.for_,
        "labels": {"severity": rule.severity, "product": "homeostat"},
        "annotations": {
            "title": rule.title,
            **texts(rule, grafana, lambda _, figure: _looked_up(figure, rule.by)),
        },
    }


def _looked_up(figure: Figure, by: tuple[str, ...]) -> str:
    """Return the template that shows the figure's series with the alert's own labels."""
    if not figure.expression:
        return f"{{{{ $value | {figure.form} }}}}"
    same = [f"(eq .Labels.{label} $labels.{label})" for label in by]
    shown = f"{{{{ .Value | {figure.form} }}}}"
    matching = f"{{{{ if and true {' '.join(same)} }}}}{shown}{{{{ end }}}}"
    return f"{{{{ range query `{figure.expression}` }}}}{matching}{{{{ end }}}}"
