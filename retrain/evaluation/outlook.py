"""How many rows more would settle a comparison: those that its wealth needs to grow to the bound, if the next rows are
like those seen, with a range for how far the true difference may lie from the seen one.

>>> from monitor.detectors.paired import counted
>>> outlook(counted([1.0] * 4 + [0.0] * 12).times, 0.02, 0.05)
Outlook(expected=14, low=7, high=240)
>>> outlook({}, 0.02, 0.05)
Outlook(expected=0, low=0, high=0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.paired import STAKES

TENTH, TWENTIETH = 1.2816, 1.6449  # standard errors: so many of the cases lie farther out
LUCK = 0.5  # standard errors: what is still open has had less luck than it deserves (calibrated by simulation)
FARTHEST = 1_000_000  # rows; what needs more is not foreseen
UNSEEN = 0.5  # rows at either end that are taken to have been seen: a few that are all alike prove no certainty
Floats = NDArray[np.float64]


class Outlook(NamedTuple):
    """Rows that settle a comparison; 0: not to be foreseen."""

    expected: int = 0
    low: int = 0
    high: int = 0

    def later(self, other: Outlook) -> Outlook:
        """Return the outlook where both must be settled."""
        return Outlook(*(max(pair) if all(pair) else 0 for pair in zip(self, other, strict=True)))


def outlook(times: Mapping[str, int], needed: float, alpha: float) -> Outlook:
    """Return how many rows more would prove a mean difference of more than `needed`, or of less, at level `alpha`;
    `times`: how often each difference came (`monitor.detectors.paired.Paired.times`)."""
    count = sum(times.values())
    if not count:
        return Outlook()
    values = np.array([-1.0, *map(float, times), 1.0])
    weights = np.array([UNSEEN, *map(float, times.values()), UNSEEN])
    weights /= weights.sum()
    spread = math.sqrt(float((values - float(values @ weights)) ** 2 @ weights))
    mean = sum(float(key) * number for key, number in times.items()) / count

    def rows(mean: float) -> int:
        return _rows(times, needed, alpha, values, _tilted(values, weights, min(0.99, max(-0.99, mean))))

    error = spread / math.sqrt(count)
    away = math.copysign(1.0, mean - needed)
    expected = rows(mean + away * LUCK * error)
    ahead = math.hypot(error, spread / math.sqrt(expected)) if expected else 2 * error  # the next rows' luck, too
    soonest, latest = rows(mean + away * TWENTIETH * ahead), rows(mean - away * TENTH * error)
    crosses = away * (mean - needed) <= TENTH * error  # the truth may be what is needed: no number would do
    found = (expected, soonest or expected, 0 if crosses or not expected else latest)
    return Outlook(*map(_rounded, found))


def _rows(times: Mapping[str, int], needed: float, alpha: float, values: Floats, weights: Floats) -> int:
    """Return the rows until either claim is proven where differences come with these weights; 0 beyond the farthest."""
    seen = np.array([float(key) for key in times]), np.array([*times.values()], dtype=np.float64)
    found = []
    for sign in (1.0, -1.0):
        bets = np.outer(STAKES, 1.0 / (1.0 + sign * needed))
        now = np.log1p(bets * (sign * (seen[0] - needed))) @ seen[1]
        growth = np.log1p(bets * (sign * (values - needed))) @ weights
        found.append(_until(now, growth, -math.log(alpha)))
    return min((each for each in found if each), default=0)


def _until(now: Floats, growth: Floats, bound: float) -> int:
    """Return the least rows with which the mean of the wealths, whose logarithms grow so, is over the bound."""

    def reached(rows: int) -> bool:
        logs = now + rows * growth
        top = float(logs.max())
        return top + math.log(float(np.exp(logs - top).mean())) >= bound

    low, high = 0, 1
    while not reached(high):
        low, high = high, 2 * high
        if high > FARTHEST:
            return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _rounded(rows: int) -> int:
    """Return the rows to two digits: no more is known."""
    step = int(10 ** max(0, len(str(rows)) - 2))
    return -(-rows // step) * step


def _tilted(values: Floats, weights: Floats, mean: float) -> Floats:
    """Return the weights nearest to these (by relative entropy) with which the mean is as given."""
    low, high = -50.0, 50.0
    tilted = weights
    for _ in range(60):
        middle = (low + high) / 2
        logs = middle * values
        tilted = weights * np.exp(logs - logs.max())
        tilted = tilted / tilted.sum()
        low, high = (middle, high) if float(tilted @ values) < mean else (low, middle)
    return tilted
