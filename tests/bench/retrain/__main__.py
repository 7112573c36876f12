"""What a retraining takes and promises: `python -m tests.bench.retrain [--only PART[,PART]] [--quick] [--stack DIR]`.

Prints a table and writes `var/bench/retrain.json`; the figures of parts that were not asked for stay in it. A part is
a function `(quick) -> list[Figure]`: add its line to `PARTS`, and its goals to `goals.toml`. `forgetting` does the
retraining of a demo's stack again, and without one measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from tests.bench.retrain import contradictions, flood, forgetting, gate, pii, proof, synthetic, training
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import options, run

OUT, STACK = Path("var/bench/retrain.json"), Path("var/demo/stack")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "training": training.measured,
    "synthetic": synthetic.measured,
    "proof": proof.measured,
    "gate": gate.measured,
    "contradictions": contradictions.measured,
    "flood": flood.measured,
    "pii": pii.measured,
    "forgetting": partial(forgetting.measured, STACK),
}


@click.command()
@options(list(PARTS))
@click.option("--stack", default=STACK, type=click.Path(file_okay=False, path_type=Path), help="Of a demo's loop.")
def main(only: Sequence[str], quick: bool, stack: Path) -> None:
    """Measure what a retraining takes and promises against its goals."""
    run(OUT, PARTS | {"forgetting": partial(forgetting.measured, stack)}, only, quick)


if __name__ == "__main__":
    main()
