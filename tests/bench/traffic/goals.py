"""The table of goals, and figures that know theirs."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from tests.bench.tools.figures import Figure

TABLE = Path(__file__).with_name("goals.toml")


def figure(
    name: str, value: float, unit: str, note: str = "", peer: str = "", peer_value: float | None = None
) -> Figure:
    """Return the figure with the goal of the longest name in the table that it begins with; LookupError without one."""
    known = max((each for each in _goals() if name.startswith(each)), key=len, default=None)
    if known is None:
        raise LookupError(f"{TABLE.name} has no goal for {name!r}: add one")
    goal = _goals()[known]
    better = "higher" if "at_least" in goal else "lower"
    return Figure(name, value, unit, next(iter(goal.values())), better, peer, peer_value, note)


@cache
def _goals() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = tomllib.loads(TABLE.read_text())
    return found
