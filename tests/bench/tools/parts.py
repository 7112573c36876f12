"""A bench of several parts: which were asked for, each tried by itself, and what they found kept in one file."""

from __future__ import annotations

import json
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note

Ways = Callable[[Callable[..., Any]], Callable[..., Any]]


def options(parts: Sequence[str]) -> Ways:
    """`--only` names parts, all without it; `--quick` measures a fraction."""

    def chosen(_: click.Context, __: click.Parameter, value: str | None) -> list[str]:
        names = value.split(",") if value else list(parts)
        if unknown := [name for name in names if name not in parts]:
            raise click.BadParameter(f"{', '.join(unknown)}; expected names among {', '.join(parts)}")
        return names

    only = click.option("--only", callback=chosen, metavar="PART[,PART]", help=f"Among {', '.join(parts)}.")
    quick = click.option("--quick", is_flag=True, help="A fraction of everything: to see that it works, not to quote.")
    return lambda command: only(quick(command))


def command(path: Path, parts: Mapping[str, Callable[[bool], list[Figure]]], about: str) -> click.Command:
    """The command that measures such a bench."""

    @click.command(help=about)
    @options(list(parts))
    def main(only: Sequence[str], quick: bool) -> None:
        run(path, parts, only, quick)

    return main


def run(path: Path, parts: Mapping[str, Callable[[bool], list[Figure]]], only: Sequence[str], quick: bool) -> None:
    """Measures the parts asked for, each into the file as soon as it is done."""
    stopped_in_order()
    for name in only:
        keep(path, list(parts), name, attempted(name, partial(parts[name], quick)))


def stopped_in_order() -> None:
    """SIGTERM ends the run as an exception does, so that what was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def attempted(name: str, measure: Callable[[], list[Figure]]) -> list[Figure]:
    """The part's figures; one that breaks off must not take the others with it, and is told as missed."""
    note(f"part: {name}")
    began = time.process_time()
    try:
        return measure()
    except Exception as error:  # the part's top
        traceback.print_exc()
        return [Figure(f"{name}: broke off", 1, "parts", 0, note=str(error).partition("\n")[0])]
    finally:
        note(f"part {name} took {time.process_time() - began:.0f} s of this process")


def keep(path: Path, parts: Sequence[str], part: str, figures: Sequence[Figure]) -> None:
    """Prints the part's figures, and puts them in the place of its earlier ones. A run that is stopped keeps what it
    has, and one of some parts leaves the others' as they are."""
    for each in figures:
        print(each.line(), flush=True)
    told = [each for each in _written(path, parts) if each["part"] != part]
    told += [{**each.told(), "part": part} for each in figures]
    told.sort(key=lambda each: list(parts).index(str(each["part"])))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1))


def _written(path: Path, parts: Sequence[str]) -> list[dict[str, object]]:
    """What an earlier run wrote of parts that still exist."""
    written = json.loads(path.read_text()) if path.exists() else []
    return [each for each in written if each.get("part") in parts]
