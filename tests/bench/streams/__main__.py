"""What the worker promises, measured against a Kafka of this run's own: `python -m tests.bench.streams [--only NAME]`.

Prints a table and writes `var/bench/streams.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from tests.bench.streams import history, late, pace, throughput
from tests.bench.streams.place import Place, place
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import attempted, keep, options, stopped_in_order

OUT = Path("var/bench/streams.json")
PARTS: dict[str, Callable[[Place, bool], list[Figure]]] = {
    "throughput": throughput.throughput,
    "workers": throughput.workers,
    "labels": pace.labels,
    "late": late.late,
    "freshness": pace.freshness,
    "state": pace.state,
    "memory": history.memory,
    "restart": history.restart,
}


def measured(names: Sequence[str], quick: bool) -> list[Figure]:
    """The figures of these parts, in one place and in this order: the events of one are history for the next."""
    figures: list[Figure] = []
    with place() as here:
        for name in names:
            found = attempted(name, partial(PARTS[name], here, quick))
            keep(OUT, list(PARTS), name, found)
            figures += found
    return figures


@click.command()
@options(list(PARTS))
def main(only: Sequence[str], quick: bool) -> None:
    """Measure the worker against its goals."""
    stopped_in_order()
    measured(only, quick)


if __name__ == "__main__":
    main()
