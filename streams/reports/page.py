"""An alarm explained with examples: the top of its report's page, and a file of JSON lines."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from monitor.describe.words import excerpt
from streams.events import AlarmRaised
from streams.reports.keys import MODE

SHOWN = 500  # characters of a question, and of an answer, on the page
STYLE = (
    "<style>.alarm{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d1d1f}"
    ".alarm h1{font-size:1.4rem}.alarm table{border-collapse:collapse;width:100%}"
    ".alarm td,.alarm th{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;"
    "border-bottom:1px solid #e3e3e8}"
    ".alarm .soft{color:#6e6e73}</style>"
)
OBSERVED = "policy.mode was observe: nothing is retrained, promoted or rolled back for it unless a person does."
BELOW = (
    "Below, Evidently compares the descriptors of replies from before the onset with those since. Its own verdict "
    "counts columns that differ in these two windows; it knows no bound on false alarms. The alarm is the judge's."
)


class ReportExample(msgspec.Struct, frozen=True, kw_only=True):
    """A reply that the alarm names, as the lake has it: masked before it left the gateway."""

    id: str
    time_ms: int
    question: str
    answer: str
    tags: dict[str, str] = {}


def lines(examples: Sequence[ReportExample]) -> bytes:
    """Return one JSON object a line."""
    return b"".join(msgspec.json.encode(each) + b"\n" for each in examples)


def page(alarm: AlarmRaised, examples: Sequence[ReportExample]) -> str:
    """Return the top of the report's page."""
    what = f"{alarm.kind.value}, {alarm.severity.value} · {alarm.version} · alarm {alarm.id}"
    parts = [
        f"<h1>{_text(alarm.summary)}</h1>",
        f'<p class="soft">{_text(what)}</p>',
        f"<p>{OBSERVED}</p>" if alarm.evidence.get(MODE) == "observe" else "",
        _slice(alarm.evidence["slice"]) if "slice" in alarm.evidence else "",
        _table(examples),
        f'<p class="soft">{BELOW}</p>',
    ]
    return f'{STYLE}<div class="alarm">{"".join(parts)}</div>'


def _slice(found: Mapping[str, Any] | None) -> str:
    if not found:
        return "<p>No slice of the traffic explains it better than chance would.</p>"
    text = (
        f"{found['name']} differs most from the rest: {found['measure']} {found['mean']:.2f} in "
        f"{found['events']} events, {found['elsewhere']:.2f} elsewhere ({found['errors']:.0f} standard errors)."
    )
    if "before" in found:
        text += f" In the reference it was {found['before']:.2f}, and {found['elsewhere_before']:.2f} elsewhere."
    return f"<p>{_text(text)}</p>"


def _table(examples: Sequence[ReportExample]) -> str:
    if not examples:
        return ""
    rows = "".join(
        f"<tr><td>{_text(excerpt(each.question, SHOWN))}</td><td>{_text(excerpt(each.answer, SHOWN))}</td>"
        f'<td class="soft">{_text(", ".join(f"{k}={v}" for k, v in each.tags.items()))}</td></tr>'
        for each in examples
    )
    return f"<table><tr><th>asked</th><th>answered</th><th>tags</th></tr>{rows}</table>"


def _text(text: str) -> str:
    return html.escape(text)
