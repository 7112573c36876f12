"""The share of the fresh rows to judge on: as many as a verdict needs, as long as enough are left to train on."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monitor.metrics import exact_match
from retrain.data.example import Example
from retrain.settings import RetrainSettings

MENDED = 0.5  # of the champion's mistakes: the rows must distinguish a candidate that mends so many
LOST = 0.05  # of the rows that such a candidate may get wrong where the champion was right
MOST_ROWS = 4_000  # of either part: more change no verdict, and all scores are in one entry of the ledger
EFFORT = 12.0  # rows x gain^2 / variance that four of five paired tests at 5 % end within


def exact_losses(rows: Sequence[Example]) -> list[float | None]:
    """Return 0 for each row that the champion answered with its label, else 1."""
    return [1.0 - exact_match(row.predicted, row.completion) for row in rows]


def harm(losses: Sequence[float | None]) -> float:
    """Return the mean of the losses that are known: of classes, the share that the champion got wrong; 1 without any.

    >>> harm([1.0, 0.0, None, 0.5]), harm([])
    (0.5, 1.0)
    """
    known = [loss for loss in losses if loss is not None]
    return math.fsum(known) / len(known) if known else 1.0


def judged(count: int, wrong: float, settings: RetrainSettings) -> int:
    """Return how many of `count` fresh rows to judge on, where the champion got the share `wrong` of them wrong. The
    more there is to gain, the fewer rows are needed.

    >>> [judged(n, 0.62, RetrainSettings()) for n in (62, 204, 800)], judged(800, 0.2, RetrainSettings())
    ([31, 59, 200], 376)
    """
    gain = MENDED * wrong
    beyond = gain - settings.min_gain
    variance = gain + 2 * LOST
    needed = math.ceil(EFFORT * variance / beyond**2) if beyond > 0 else count
    least, most = (round(share * count) for share in (settings.validation_share, settings.max_validation_share))
    return min(MOST_ROWS, max(least, min(most, needed)))
