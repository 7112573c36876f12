"""The texts of a page: those of its rule, with templates for labels and figures."""

from __future__ import annotations

import re
from collections.abc import Callable

from dashboards import pages
from dashboards.panels import Json
from dashboards.rules.rule import Figure, Rule


def texts(rule: Rule, grafana: str, shown: Callable[[str, Figure], str]) -> Json:
    """Return the rule's texts as templates. `grafana`: the address of the runbooks. `shown`: returns the template of a
    figure, given its name; the template of a label is the same everywhere."""
    figures = {"amount": rule.amount, "since": rule.since}

    def put(found: re.Match[str]) -> str:
        name = found.group(1)
        return shown(name, figures[name]) if name in figures else f"{{{{ $labels.{name} }}}}"

    plain = {"summary": rule.summary, "description": f"Since <since>. {rule.do}"}
    written = {name: re.sub(r"<(\w+)>", put, text) for name, text in plain.items()}
    return {**written, "runbook_url": pages.link(grafana, rule.uid)}
