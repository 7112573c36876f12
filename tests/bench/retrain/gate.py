"""What the gate lets pass: `python -m tests.bench.retrain.gate [--runs N] [--seed N]`.

A retraining with so many fresh labelled rows is shared out, asked in steps and judged by the code that ships; only the
answers are drawn. Prints a table and writes `var/bench/gate.json`; four minutes with 200 runs."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from retrain.data.dataset import Dataset
from retrain.data.example import FRESH, REHEARSAL, Example
from retrain.data.shares import judged as judged_rows
from retrain.evaluation.comparison import AnsweredRows, judged, start
from retrain.evaluation.gate import judge
from retrain.settings import RetrainSettings
from streams.events import Message
from tests.bench.tools.figures import Figure, tell
from tests.bench.tools.progress import note

OUT = Path("var/bench/gate.json")
GAINS = (0.10, 0.145, 0.20)
FRESH_ROWS = (62, 200, 400, 800)
WRONG = 2.0  # times its gain is what the champion gets wrong: the candidate mends half of it
LOST = 0.05  # of the fresh rows go the other way
FORGOTTEN, REMEMBERED = 0.03, 0.01  # of the healthy time's rows


@dataclass(frozen=True, slots=True)
class Drawn:
    """Answers by chance: a candidate that is better by `gain` on the fresh rows."""

    gain: float
    rng: random.Random

    async def both(self, rows: Sequence[Example]) -> AnsweredRows:
        pairs = [self._pair(*self._shares(row)) for row in rows]
        return AnsweredRows(rows=list(rows), pairs=pairs, cut=(0, 0), left_out=Counter())

    def _shares(self, row: Example) -> tuple[float, float]:
        return (self.gain + LOST, LOST) if row.source == FRESH else (REMEMBERED, FORGOTTEN)

    def _pair(self, won: float, lost: float) -> tuple[float, float]:
        draw = self.rng.random()
        return (1.0, 0.0) if draw < won else (0.0, 1.0) if draw < won + lost else (1.0, 1.0)


def passes(gain: float, fresh: int, meanwhile: int, runs: int, seed: int, attempts: int = 1) -> float:
    """The share of harms at which a candidate of that gain is promoted, by one of so many attempts; each has as many
    rows as all before it together."""
    settings = RetrainSettings()
    found = 0
    for run in range(runs):
        rng = random.Random(f"{seed}/{run}")
        tries = ((fresh * 2**number, settings.alpha / 2**number) for number in range(attempts))
        found += any(promoted(settings, gain, rows, meanwhile, alpha, rng) for rows, alpha in tries)
    return found / runs


def promoted(
    settings: RetrainSettings, gain: float, fresh: int, meanwhile: int, alpha: float, rng: random.Random
) -> bool:
    """One retraining with so many fresh rows, and so many that are labelled while it trains."""
    validation = made(judged_rows(fresh, max(WRONG * gain, LOST), settings), FRESH)
    dataset = Dataset([], [], validation, made(settings.regression_rows, REHEARSAL), {})
    begun = start(settings, "candidate", "champion", alpha, {})
    later = made(meanwhile, FRESH)
    gate = asyncio.run(judged(begun, dataset, Drawn(gain, rng), settings.step_rows, lambda: later))
    return judge(gate).status == "promote"


def made(count: int, source: str) -> list[Example]:
    return [Example(id=str(i), messages=[Message("user", "?")], completion="!", source=source) for i in range(count)]


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
