"""What a retraining takes and promises: `python -m tests.bench.retrain [--only PART[,PART]] [--quick]`.

Prints a table and writes `var/bench/retrain.json`; the figures of parts that were not asked for stay in it. A part is
a function `(quick) -> list[Figure]`: add its line to `PARTS`, and its goals to `goals.toml`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.retrain import proof, synthetic, training
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import command

OUT = Path("var/bench/retrain.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "training": training.measured,
    "synthetic": synthetic.measured,
    "proof": proof.measured,
}

if __name__ == "__main__":
    command(OUT, PARTS, "Measure what a retraining takes and promises against its goals.")()
