"""What is promised on the traffic that teams have: `python -m tests.bench.traffic [--only PART[,PART]] [--quick]`.

Prints a table and writes `var/bench/traffic.json`; the figures of parts that were not asked for stay in it. A part is
a function `(quick) -> list[Figure]`: add its line to `PARTS`, and its goals to `goals.toml`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import command
from tests.bench.traffic import dataset, judges, likeness, ratings, selection

OUT = Path("var/bench/traffic.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "harm": likeness.harm,
    "healthy": likeness.healthy,
    "drift": likeness.drift,
    "dataset": dataset.measured,
    "verdicts": selection.verdicts,
    "judges": judges.judges,
    "complaints": selection.complaints,
    "rated harm": ratings.harm,
    "rated health": ratings.healthy,
    "drawn": selection.drawn,
}

if __name__ == "__main__":
    command(OUT, PARTS, "Measure what is promised on ordinary traffic against its goals.")()
