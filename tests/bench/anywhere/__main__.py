"""What runs where others run things: `python -m tests.bench.anywhere [--only PART[,PART]] [--quick]`.

Prints a table and writes `var/bench/anywhere.json`; the figures of parts that were not asked for stay in it. A part is
a function `(quick) -> list[Figure]`: add its line to `PARTS`, and its goals to `goals.toml`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.bench.anywhere import attestations, brokers, jobs, outage, pause, side_cars
from tests.bench.tools.figures import Figure
from tests.bench.tools.parts import command

OUT = Path("var/bench/anywhere.json")
PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "side-cars": side_cars.measured,
    "attestations": attestations.measured,
    "pause": pause.measured,
    "jobs": jobs.measured,
    "outage": outage.measured,
    "brokers": brokers.measured,
    "vllm": brokers.with_vllm,
}

if __name__ == "__main__":
    command(OUT, PARTS, "Measure what runs where others run things against its goals.")()
