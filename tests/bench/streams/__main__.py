"""What the worker promises, measured against a Kafka of this run's own: `python -m tests.bench.streams [--only NAME]`.

Prints a table and writes `var/bench/streams.json`.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from tests.bench.figures import Figure, tell, write
from tests.bench.progress import note
from tests.bench.streams import history, pace, throughput
from tests.bench.streams.place import Place, place

OUT = Path("var/bench/streams.json")
PARTS: dict[str, Callable[[Place, bool], list[Figure]]] = {
    "throughput": throughput.throughput,
    "workers": throughput.workers,
    "labels": pace.labels,
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
            figures += attempted(name, here, quick)
            write(figures, OUT)  # a run that is stopped keeps what it has
    return figures


def attempted(name: str, here: Place, quick: bool) -> list[Figure]:
    """The part's figures; one that breaks off must not take the others with it, and is told as missed."""
    note(f"part: {name}")
    try:
        return PARTS[name](here, quick)
    except Exception as error:  # the part's top
        traceback.print_exc()
        return [Figure(f"{name}: broke off", 1, "parts", 0, note=str(error).partition("\n")[0])]


def chosen(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
    """The parts that `--only` names, all without it."""
    names = value.split(",") if value else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        raise click.BadParameter(f"{', '.join(unknown)}; expected names among {', '.join(PARTS)}")
    return names


@click.command()
@click.option("--only", callback=chosen, metavar="NAME[,NAME]", help=f"Among {', '.join(PARTS)}.")
@click.option("--quick", is_flag=True, help="A fraction of everything: to see that it works, not to be quoted.")
def main(only: Sequence[str], quick: bool) -> None:
    """Measure the worker against its goals."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    tell(measured(only, quick), OUT)


if __name__ == "__main__":
    main()
