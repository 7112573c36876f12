"""What monitoring promises, all measured: `python -m tests.bench.monitor [--only PART[,PART]] [--quick]`.

Prints a table and writes `var/bench/monitor.json`; the figures of parts that were not asked for stay in it. A part is
a function `(quick) -> list[Figure]`: add its line to `PARTS`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from tests.bench.figures import Figure
from tests.bench.monitor import budgets, delay, dependence, harm, null, others, peers, pure
from tests.bench.parts import attempted, keep, options

OUT = Path("var/bench/monitor.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "pure": pure.measured,
    "null": null.measured,
    "dependence": dependence.measured,
    "budget": budgets.measured,
    "delay": delay.measured,
    "harm": harm.measured,
    "peers": peers.measured,
    "fairness": others.fairness,
    "safety": others.safety,
    "cost": others.cost,
    "streams": others.streams,
    "kills": others.kills,
}


@click.command()
@options(list(PARTS))
def main(only: Sequence[str], quick: bool) -> None:
    """Measure monitoring against its goals."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    for name in only:
        keep(OUT, list(PARTS), name, attempted(name, partial(PARTS[name], quick)))


if __name__ == "__main__":
    main()
