"""What the gate lets pass: `python -m tests.bench.retrain.gate [--runs N] [--seed N]`.

A retraining with so many fresh labelled rows is shared out, asked in steps and judged by the code that ships; only the
answers are drawn. Prints a table and writes `var/bench/gate.json`; four minutes with 200 runs."""

from __future__ import annotations

from pathlib import Path

import click

from retrain.settings import RetrainSettings
from tests.bench.tools.figures import Figure, tell
from tests.bench.tools.progress import note
from tests.retrain.support.drawn_gate import passes

OUT = Path("var/bench/gate.json")
GAINS = (0.10, 0.145, 0.20)
FRESH_ROWS = (62, 200, 400, 800)


@click.command()
@click.option("--runs", type=int, default=200, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(runs: int, seed: int) -> None:
    """How often candidates of known worth are promoted, by fresh labelled rows."""
    tell([*power(runs, seed), *errors(runs, seed)], OUT)


def power(runs: int, seed: int) -> list[Figure]:
    """Candidates that are better."""
    figures = []
    for gain in GAINS:
        for fresh in FRESH_ROWS:
            note(f"+{100 * gain:g} points, {fresh} rows")
            for meanwhile in (0, fresh // 2):
                more = f", {meanwhile} more while it trains" if meanwhile else ""
                share = 100 * passes(gain, fresh, meanwhile, runs, seed)
                figures.append(Figure(f"+{100 * gain:g} points promoted: {fresh} fresh rows{more}", share, "%"))
    return figures


def errors(runs: int, seed: int) -> list[Figure]:
    """Candidates that are not better by what is asked."""
    settings = RetrainSettings()
    note("no better than asked")
    once = 100 * passes(settings.min_gain, 800, 400, runs, seed)
    often = 100 * passes(settings.min_gain, 200, 100, runs, seed, attempts=4)
    asked = 100 * settings.alpha
    return [
        Figure(f"+{100 * settings.min_gain:g} points promoted: 800 fresh rows, 400 more", once, "%", asked),
        Figure("the same, by one of four attempts from 200 rows on", often, "%", 2 * asked),
    ]


if __name__ == "__main__":
    main()
