"""What a page says, for whoever sends it: the texts of a rule with its labels and figures put in."""

from __future__ import annotations

import re
from collections.abc import Callable

from dashboards import pages
from dashboards.panels import Json
from dashboards.rules import Figure, Rule


def texts(rule: Rule, grafana: str, shown: Callable[[str, Figure], str]) -> Json:
    """Return the rule's texts as templates. `grafana`: where its page stands. `shown`: the template of a figure, by
    its name; that of a label is the same everywhere."""
    figures = {"amount": rule.amount, "since": rule.since}

    def put(found: re.Match[str]) -> str:
        name = found.group(1)
        return shown(name, figures[name]) if name in figures else f"{{{{ $labels.{name} }}}}"

    said = {"summary": rule.summary, "description": f"Since <since>. {rule.do}"}
    written = {name: re.sub(r"<(\w+)>", put, text) for name, text in said.items()}
    return {**written, "runbook_url": pages.link(grafana, rule.uid)}
