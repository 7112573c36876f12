"""Measured numbers beside their goals: as a table on the terminal, and as JSON for whoever compares."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NOT_MEASURED = math.nan


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `goal` is a bound in the sense of `better`, None where the number only explains others."""

    name: str
    value: float  # NOT_MEASURED where it could not be had
    unit: str
    goal: float | None = None
    better: str = "lower"  # or "higher"
    peer: str = ""
    peer_value: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None without a goal; what was not measured is not met."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal

    def line(self) -> str:
        """One row of the table."""
        sign = ">=" if self.better == "higher" else "<="
        goal = "" if self.goal is None else f"{sign} {self.goal:g}"
        mark = {None: "", True: "met", False: "MISSED"}[self.met]
        peer = f"{self.peer} {self.peer_value:g}" if self.peer_value is not None else ""
        aside = "; ".join(part for part in (peer, self.note) if part)
        return f"{self.name:62} {self.value:12,.3f} {self.unit:9} {goal:11} {mark:7} {aside}".rstrip()

    def told(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "name": self.name,
            "value": None if math.isnan(self.value) else round(self.value, 4),
            "unit": self.unit,
            "goal": self.goal,
            "better": self.better,
            "met": self.met,
            "peer": self.peer,
            "peer_value": self.peer_value,
            "note": self.note,
        }


def tell(figures: Sequence[Figure], path: Path) -> None:
    """Prints the table and writes the file."""
    for each in figures:
        print(each.line())
    write(figures, path)


def write(figures: Sequence[Figure], path: Path) -> None:
    """The file alone, anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([each.told() for each in figures], indent=1))
