"""Tables of goals (`goals.toml` of a bench), and figures that know theirs."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from tests.bench.tools.figures import Figure


def figure(
    table: Path,
    name: str,
    value: float,
    unit: str,
    note: str = "",
    peer: str = "",
    peer_value: float | None = None,
) -> Figure:
    """Return the figure with the goal of the longest name in the table that it begins with; LookupError without one."""
    goals = _goals(table)
    known = max((each for each in goals if name.startswith(each)), key=len, default=None)
    if known is None:
        raise LookupError(f"{table}: no goal for {name!r}: add one")
    goal = goals[known]
    better = "higher" if "at_least" in goal else "lower"
    return Figure(name, value, unit, next(iter(goal.values())), better, peer, peer_value, note)


@cache
def _goals(table: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = tomllib.loads(table.read_text())
    return found
