"""What monitoring promises, all measured: `python -m tests.bench.monitor [--only PART[,PART]] [--quick]`.

Prints a table and writes `var/bench/monitor.json`; the figures of parts that were not asked for stay in it. A part is
a function `(quick) -> list[Figure]`: add its line to `PARTS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.monitor import budgets, delay, dependence, harm, labels, null, others, peers, pure
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import command

OUT = Path("var/bench/monitor.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "pure": pure.measured,
    "null": null.measured,
    "dependence": dependence.measured,
    "budget": budgets.measured,
    "delay": delay.measured,
    "harm": harm.measured,
    "labels": labels.measured,
    "peers": peers.measured,
    "fairness": others.fairness,
    "safety": others.safety,
    "cost": others.cost,
}

if __name__ == "__main__":
    command(OUT, PARTS, "Measure monitoring against its goals.")()
