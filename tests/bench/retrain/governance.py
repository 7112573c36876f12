"""What a dataset keeps out: `python -m tests.bench.retrain.governance [--only PART[,PART]] [--quick]`.

Prints a table and writes `var/bench/governance.json`: wrong labels that one client floods, and private data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.retrain import flood, pii
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import command

OUT = Path("var/bench/governance.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {"flood": flood.flooded, "pii": pii.measured}

if __name__ == "__main__":
    command(OUT, PARTS, "Measure what a dataset keeps out against its goals.")()
