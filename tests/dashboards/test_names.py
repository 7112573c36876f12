"""Dashboards and alerts only use metrics that some process really has, with labels it really sets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from dashboards import fleet
from dashboards.rules.table import RULES

ROOT = Path(__file__).parents[2]
KINDS = {"Counter", "Gauge", "Histogram"}
SUFFIXES = {"Counter": ("",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}
SCRAPED = {"job", "instance", "le"}  # labels that Prometheus adds
FIGURES = [e for rule in RULES for e in (rule.amount.expression, rule.since.expression) if e]
SHOWN = [query.expression for row in fleet.ROWS for panel in row.panels for query in panel.queries]
EVERY = [*SHOWN, *(rule.expression for rule in RULES), *FIGURES]


@cache
def declared() -> dict[str, set[str]]:
    """Every series the rooms declare, with its labels."""
    found: dict[str, set[str]] = {}
    for room in ("serving", "streams", "retrain", "deploy"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for name, kind, labels in metrics(ast.parse(path.read_text())):
                found |= {f"{name}{suffix}": labels for suffix in SUFFIXES[kind]}
    return found


def metrics(tree: ast.Module) -> Iterator[tuple[str, str, set[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
            if not isinstance(node.args[0], ast.Constant):  # a collections.Counter
                continue
            name = ast.literal_eval(node.args[0])
            labels = ast.literal_eval(node.args[2]) if len(node.args) > 2 else []
            yield name, node.func.id, set(labels)


@pytest.mark.slow
@pytest.mark.parametrize("expression", EVERY)
def test_every_name_and_label_is_declared(expression: str) -> None:
    have = declared()
    used = re.findall(r"homeostat_[a-z0-9_]+", expression)
    assert [name for name in used if name not in have] == []
    labels = set().union(*(have[name] for name in used)) | SCRAPED
    matched = re.findall(r'([a-z_]+)=~?"', expression)
    grouped = [label.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(",")]
    assert [label for label in (*matched, *grouped) if label not in labels] == []


def test_there_is_something_to_check() -> None:
    assert len(EVERY) > 30
    assert sum("homeostat_" in e or "up{" in e for e in EVERY) == len(EVERY)
