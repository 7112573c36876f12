"""The runbooks: a page of text for each rule, kept as Markdown, shown by Grafana as panels of a dashboard."""

from __future__ import annotations

import re
from pathlib import Path

from dashboards.panels import COLUMNS, Json
from dashboards.rules.rule import Rule
from dashboards.rules.table import RULES

UID = "homeostat-runbooks"
TITLE = "Homeostat: runbooks"
FOLDER = Path(__file__).parent / "runbooks"
HEIGHT = 14
PLACES = FOLDER / "places.md"  # what differs from place to place: said once, and put below each page that leads to it
LEADS = re.compile(rf"\[([^]]+)\]\({PLACES.name}\)")


def path(uid: str) -> Path:
    """Return the file of a rule's page."""
    return FOLDER / f"{uid}.md"


def shown(uid: str) -> str:
    """Return a rule's page as Grafana shows it, where no other file is at hand."""
    text, leads = LEADS.subn(r"\1", path(uid).read_text(encoding="utf-8"))
    return f"{text}\n{PLACES.read_text(encoding='utf-8')}" if leads else text


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
        "options": {"mode": "markdown", "content": shown(rule.uid)},
    }


def _number(uid: str) -> int:
    return [rule.uid for rule in RULES].index(uid) + 1
