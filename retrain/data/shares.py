"""How many of the fresh rows are judged on: as many as it takes to tell, as long as enough is left to learn from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monitor.metrics import Metric
from retrain.data.example import Example
from retrain.settings import RetrainSettings

MENDED = 0.5  # of what the champion gets wrong: a candidate that does so is to be told from one that does not
LOST = 0.05  # of the rows may go the other way meanwhile
MOST_ROWS = 4_000  # of either part: more tell nothing new, and all scores are in one entry of the ledger
EFFORT = 12.0  # rows x gain^2 / variance that four of five paired tests at 5 % end within


def harm(rows: Sequence[Example], metric: Metric) -> float:
    """The share that the champion got wrong; 1 without rows."""
    return 1.0 - math.fsum(metric(row.predicted, row.completion) for row in rows) / len(rows) if rows else 1.0


def judged(count: int, wrong: float, settings: RetrainSettings) -> int:
    """How many of `count` fresh rows are judged on, where the champion got the share `wrong` of them wrong. The more
    there is to gain, the fewer tell.

    >>> [judged(n, 0.62, RetrainSettings()) for n in (62, 204, 800)], judged(800, 0.2, RetrainSettings())
    ([31, 59, 200], 376)
    """
    gain = MENDED * wrong
    beyond = gain - settings.min_gain
    variance = gain + 2 * LOST
    needed = math.ceil(EFFORT * variance / beyond**2) if beyond > 0 else count
    least, most = (round(share * count) for share in (settings.validation_share, settings.max_validation_share))
    return min(MOST_ROWS, max(least, min(most, needed)))
