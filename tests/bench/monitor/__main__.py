"""What monitoring promises, all measured: `python -m tests.bench.monitor [--only PART[,PART]] [--quick]`.

Prints a table and writes `var/bench/monitor.json`; the figures of parts that were not asked for stay in it. A part is
a function `(quick) -> list[Figure]`: add its line to `PARTS`."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from tests.bench.figures import Figure
from tests.bench.monitor import budgets, delay, dependence, harm, null, others, peers, pure
from tests.bench.progress import note

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


def chosen(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
    """The parts that `--only` names, all without it."""
    names = value.split(",") if value else list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        raise click.BadParameter(f"{', '.join(unknown)}; expected names among {', '.join(PARTS)}")
    return names


@click.command()
@click.option("--only", callback=chosen, metavar="PART[,PART]", help=f"Among {', '.join(PARTS)}.")
@click.option("--quick", is_flag=True, help="A tenth of everything: to see that it works, not to be quoted.")
def main(only: Sequence[str], quick: bool) -> None:
    """Measure monitoring against its goals."""
    for name in only:
        began = time.process_time()
        figures = attempted(name, quick)
        note(f"part {name} took {time.process_time() - began:.0f} s of one core")
        for each in figures:
            print(each.line(), flush=True)
        kept(OUT, name, figures)  # a run that is stopped keeps what it has


def attempted(name: str, quick: bool) -> list[Figure]:
    """The part's figures; one that breaks off must not take the others with it, and is told as missed."""
    note(f"part: {name}")
    try:
        return PARTS[name](quick)
    except Exception as error:  # the part's top
        traceback.print_exc()
        return [Figure(f"{name}: broke off", 1, "parts", 0, note=str(error).partition("\n")[0])]


def kept(path: Path, part: str, figures: Sequence[Figure]) -> None:
    """Puts the part's figures in the place of its earlier ones."""
    others = [each for each in _told(path) if each["part"] != part]
    told = [*others, *({**each.told(), "part": part} for each in figures)]
    order = list(PARTS)
    told.sort(key=lambda each: order.index(str(each["part"])))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1))


def _told(path: Path) -> list[dict[str, object]]:
    """What an earlier run wrote of parts that still exist."""
    written = json.loads(path.read_text()) if path.exists() else []
    return [each for each in written if each.get("part") in PARTS]


if __name__ == "__main__":
    main()
