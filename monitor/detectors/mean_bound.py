"""An upper bound for the mean of losses in [0, 1], which are known to lie close together where they do.

A bettor that the mean is below `m` has the wealth `prod(1 + stake * (m - loss) / (1 - m))`, whose mean is at most
one where the mean is `m` or more; so at confidence `c` every `m` is excluded at which the wealth reaches `1 / (1 - c)`
(Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"). Several stakes are mixed. The
bound holds for any number of losses, however they are distributed; the closer they lie together, the tighter it is.

Losses are kept as weights of hundredths: one between two hundredths is split between them so that the mean stays. A
split loss wins less, never more, so the bound holds.

>>> rng = np.random.default_rng(0)
>>> close = np.clip(rng.normal(0.48, 0.15, 200), 0, 1)
>>> round(float(close.mean()), 3), round(upper_bound(levels(close.tolist()), 200, 0.9), 3)
(0.482, 0.508)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from monitor.detectors.interface import Floats

STEPS = 100  # of the loss, in which it is kept
STAKES = (0.05, 0.1, 0.18, 0.3, 0.5, 0.8)  # of the most that can be bet without ruin
HIGHEST = 1.0 - 1e-9  # mean that is bet against: beyond it nothing can be lost
HALVINGS = 30  # to one in a thousand million

Levels = tuple[float, ...]


def levels(losses: Sequence[float]) -> Levels:
    """Return how much of the losses is at each hundredth, from 0 to 1; their mean stays as it is."""
    places = np.asarray(losses, dtype=np.float64) * STEPS
    below = np.minimum(places.astype(np.int64), STEPS - 1)
    above = places - below
    weights = np.bincount(below, 1.0 - above, STEPS + 1) + np.bincount(below + 1, above, STEPS + 1)
    return tuple(np.round(weights, 6).tolist())


@lru_cache(maxsize=4_096)  # asked for each version with each batch; a megabyte or two
def upper_bound(levels: Levels, worth: int, confidence: float) -> float:
    """Return the mean that such losses exclude at `confidence`, one-sided. `worth`: how many independent losses say as
    much as these. Without losses it is 1."""
    weights = np.asarray(levels, dtype=np.float64)
    losses, total = np.linspace(0.0, 1.0, len(weights)), float(weights.sum())
    if not total or not worth:
        return 1.0
    held, wanted = weights > 0.0, -math.log1p(-confidence)
    shares = weights[held] * (worth / total)
    low, high = min(float(weights @ losses) / total, HIGHEST), 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        excluded = middle >= 1.0 or _log_wealth(losses[held], shares, middle) >= wanted
        low, high = (low, middle) if excluded else (middle, high)
    return high


def _log_wealth(losses: Floats, weights: Floats, mean: float) -> float:
    """Return the logarithm of the mean wealth over the stakes; it rises with the mean that is bet against."""
    gains = np.log1p(np.outer(STAKES, (mean - losses) / (1.0 - mean)))
    logs = gains @ weights
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean()))
