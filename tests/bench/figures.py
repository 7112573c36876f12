"""Measured numbers beside their goals: as a table on the terminal, and as JSON for whoever compares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `goal` is a bound in the sense of `better`."""

    name: str
    value: float
    unit: str
    goal: float
    better: str  # "higher" or "lower"
    peer: str = ""
    peer_value: float | None = None

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


def tell(figures: Sequence[Figure], path: Path) -> None:
    """Prints the table and writes the file."""
    for each in figures:
        peer = f"{each.peer} {each.peer_value:g}" if each.peer_value is not None else ""
        sign = ">=" if each.better == "higher" else "<="
        mark = "met" if each.met else "MISSED"
        print(f"{each.name:48} {each.value:12,.3f} {each.unit:9} {sign} {each.goal:<10,g} {mark:7} {peer}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(each) | {"met": each.met} for each in figures], indent=1))
