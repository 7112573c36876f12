"""The runbooks: a page of text for each rule, kept as Markdown, shown by Grafana as panels of a dashboard."""

from __future__ import annotations

from pathlib import Path

from dashboards.panels import COLUMNS, Json
from dashboards.rules.rule import Rule
from dashboards.rules.table import RULES

UID = "homeostat-runbooks"
TITLE = "Homeostat: runbooks"
FOLDER = Path(__file__).parent / "runbooks"
HEIGHT = 14


def path(uid: str) -> Path:
    """Return the file of a rule's page."""
    return FOLDER / f"{uid}.md"


def link(grafana: str, uid: str) -> str:
    """Return the address of a rule's page in the Grafana at that address."""
    return f"{grafana.rstrip('/')}/d/{UID}?viewPanel={_number(uid)}"


def dashboard() -> Json:
    """Return the pages as one dashboard; `link` names its panels."""
    return {
        "uid": UID,
        "title": TITLE,
        "tags": ["homeostat"],
        "schemaVersion": 39,
        "editable": False,
        "panels": [_panel(rule) for rule in RULES],
    }


def _panel(rule: Rule) -> Json:
    number = _number(rule.uid)
    return {
        "id": number,
        "type": "text",
        "title": rule.title,
        "gridPos": {"h": HEIGHT, "w": COLUMNS, "x": 0, "y": (number - 1) * HEIGHT},
        "options": {"mode": "markdown", "content": path(rule.uid).read_text(encoding="utf-8")},
    }


def _number(uid: str) -> int:
    return [rule.uid for rule in RULES].index(uid) + 1
