"""Retrainings whose answers are drawn: shared out, asked in steps and judged by the code that ships."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retrain.data.dataset import Dataset
from retrain.data.example import FRESH, REHEARSAL, Example
from retrain.data.shares import judged as judged_rows
from retrain.evaluation.checks import level
from retrain.evaluation.comparison import judged, start
from retrain.evaluation.gate import judge
from retrain.evaluation.pairs import AnsweredRows
from retrain.settings import RetrainSettings
from streams.messages import Message

WRONG = 2.0  # times its gain is what the champion gets wrong: the candidate mends half of it
LOST = 0.05  # of the fresh rows go the other way
FORGOTTEN, REMEMBERED = 0.03, 0.01  # of the healthy time's rows

Pair = tuple[float, float]
Answers = Callable[[Example, random.Random], Pair]  # the candidate's and the champion's score of a row


@dataclass(frozen=True, slots=True)
class Drawn:
    """Answers by chance."""

    answers: Answers
    rng: random.Random

    async def both(self, rows: Sequence[Example]) -> AnsweredRows:
        pairs = [self.answers(row, self.rng) for row in rows]
        return AnsweredRows(rows=list(rows), pairs=pairs, cut=(0, 0), left_out=Counter())


def differing(won: float, lost: float) -> Answers:
    """The candidate alone is right on a share of all rows, the champion alone on another."""

    def answers(_: Example, rng: random.Random) -> Pair:
        draw = rng.random()
        return (1.0, 0.0) if draw < won else (0.0, 1.0) if draw < won + lost else (1.0, 1.0)

    return answers


def mending(gain: float) -> Answers:
    """A candidate that is better by `gain` on the fresh rows, and forgets a little."""
    fresh, healthy = differing(gain + LOST, LOST), differing(REMEMBERED, FORGOTTEN)
    return lambda row, rng: fresh(row, rng) if row.source == FRESH else healthy(row, rng)


def harming(group: str, right: float) -> Answers:
    """A candidate that mends most of the harm, and gives half of the right answers of one group away. The champion is
    right on most healthy rows; and on so many fresh ones."""

    def answers(row: Example, rng: random.Random) -> Pair:
        theirs = rng.random() < (right if row.source == FRESH else 0.95)
        if row.tags["group"] == group:
            return float(theirs and rng.random() < 0.5), float(theirs)
        mine = rng.random() < (0.98 if theirs else 0.8)
        return float(mine), float(theirs)

    return answers


def passes(gain: float, fresh: int, meanwhile: int, runs: int, seed: int, attempts: int = 1) -> float:
    """The share of harms at which a candidate of that gain is promoted, by one of so many attempts; each has as many
    rows as all before it together."""
    settings = RetrainSettings()
    tries = [judged_rows(fresh * 2**number, max(WRONG * gain, LOST), settings) for number in range(attempts)]
    return promoted(settings, mending(gain), tries, meanwhile, runs, seed)


def promoted(
    settings: RetrainSettings, answers: Answers, tries: Sequence[int], meanwhile: int, runs: int, seed: int
) -> float:
    """The share of harms at which one of the attempts promotes; each has so many rows to judge on, and so many that are
    labelled while it trains."""
    found = 0
    for run in range(runs):
        drawn = Drawn(answers, random.Random(f"{seed}/{run}"))
        found += any(
            _promotes(settings, drawn, rows, meanwhile, level(settings.alpha, number))
            for number, rows in enumerate(tries, 1)
        )
    return found / runs


def _promotes(settings: RetrainSettings, drawn: Drawn, validation: int, meanwhile: int, alpha: float) -> bool:
    dataset = Dataset([], [], made(validation, FRESH), made(settings.regression_rows, REHEARSAL), {})
    begun = start(settings, "candidate", "champion", alpha, {})
    later = made(meanwhile, FRESH)
    gate = asyncio.run(judged(begun, dataset, drawn, settings.step_rows, lambda: later))
    return judge(gate).status == "promote"


def made(count: int, source: str) -> list[Example]:
    """Rows of which a third is of one group, as many of another, and so on."""
    return [
        Example(id=str(i), messages=[Message("user", "?")], completion="!", source=source, tags={"group": "abc"[i % 3]})
        for i in range(count)
    ]
