"""Findings of the doctor, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` is empty where nothing needs to be done; a finding that is not `ok`
    and not `needed` hinders no start."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True


def render(findings: Sequence[Finding]) -> Table:
    """Return the findings as a table, each with its remedy beneath where it needs one."""
    table = Table("", "checked", "found", box=None, header_style="bold", pad_edge=False)
    for finding in findings:
        mark = ("ok", "green") if finding.ok else ("no", "bold red") if finding.needed else ("!", "yellow")
        table.add_row(Text(*mark), finding.name, finding.detail)
        if finding.remedy:
            table.add_row("", "", Text(f"-> {finding.remedy}", mark[1]))
    return table


def healthy(findings: Sequence[Finding]) -> bool:
    """Check that nothing that is needed is missing."""
    return all(finding.ok for finding in findings if finding.needed)
