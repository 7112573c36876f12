"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` is empty where nothing needs to be done; a finding that is not `ok`
    and not `needed` keeps nobody from starting."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = True
