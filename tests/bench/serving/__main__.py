"""What serving promises, all measured in one run: `python -m tests.bench.serving [--only NAME[,NAME]] [--quick]`.

Prints a table and writes `var/bench/serving.json`.
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
from tests.bench.serving import engine_kills, kills, latency, malformed, memory, streaming, swaps

OUT = Path("var/bench/serving.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "latency": latency.measured,
    "streams": streaming.measured,
    "memory": memory.measured,
    "swaps": swaps.measured,
    "kills": kills.measured,
    "engine-kills": engine_kills.measured,
    "malformed": malformed.measured,
}


def chosen(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
    """The parts that `--only` names, all without it."""
    names = value.split(",") if value else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        raise click.BadParameter(f"{', '.join(unknown)}; expected names among {', '.join(PARTS)}")
    return names


@click.command()
@click.option("--only", callback=chosen, metavar="NAME[,NAME]", help=f"Among {', '.join(PARTS)}.")
@click.option("--quick", is_flag=True, help="A tenth of everything: to see that it works, not to be quoted.")
def main(only: Sequence[str], quick: bool) -> None:
    """Measure serving against its goals."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    figures: list[Figure] = []
    for name in only:
        figures += attempted(name, quick)
        write(figures, OUT)  # a run that is stopped keeps what it has
    tell(figures, OUT)


def attempted(name: str, quick: bool) -> list[Figure]:
    """The part's figures; one that breaks off must not take the others with it, and is told as missed."""
    note(f"part: {name}")
    try:
        return PARTS[name](quick)
    except Exception as error:  # the part's top
        traceback.print_exc()
        return [Figure(f"{name}: broke off", 1, "parts", 0, note=str(error).partition("\n")[0])]


if __name__ == "__main__":
    main()
