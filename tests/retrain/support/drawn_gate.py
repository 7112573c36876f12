"""Retrainings whose answers are drawn: shared out, asked in steps and judged by the code that ships."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from retrain.data.dataset import Dataset
from retrain.data.example import FRESH, REHEARSAL, Example
from retrain.data.shares import judged as judged_rows
from retrain.evaluation.comparison import judged, start
from retrain.evaluation.gate import judge, level
from retrain.evaluation.pairs import AnsweredRows
from retrain.settings import RetrainSettings
from streams.messages import Message

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
        tries = ((fresh * 2**number, level(settings.alpha, number + 1)) for number in range(attempts))
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
