"""Dependence between events, taken out before any test sees it.

A test that takes dependent events for independent ones fires far too often: an autocorrelation of 0.2 brings 10,000
events between false alarms down to 2,460. So scores are averaged over blocks long enough that neighbouring averages
hardly depend on each other (and a sender's burst counts once: `monitor.watch.bursts`).

How much events vary may depend as well, where their level does not: large moves follow large ones, nights are quieter.
Taken for independent, such events bring 10,000 down to 200. So the same is asked of squares; but only short blocks are
chosen for them, in which a shift is still found soon, and what is left is taken off the bets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.detectors.interface import Moment

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LENGTHS = (1, 2, 5, 10, 20, 50)
TOLERATED = 1.2  # inflation that blocks need not take out; what is left is taken off the bets
FOR_SPREAD = 10  # events, the longest block that is chosen for how squares depend
ERRORS = 0.5  # standard errors of an inflation by which it may be estimated too low: each half costs 4 % of delay
SQUARES_ERRORS = 2.0  # of that of squares, which have heavy tails; bets on shifts do not pay for it
WILD = 0.9  # quantile of the local variance
ROUNDED = 1e-12  # of the largest value: a difference that is none
FEWEST_BLOCKS = 30  # a reference of fewer block averages says too little


class Block(msgspec.Struct, frozen=True):
    """Sums over the measured events since the last full block."""

    sums: list[float] = []
    count: int = 0
    first: Moment = ("", 0)


def fill(
    block: Block, length: int, rows: Floats, moments: Sequence[Moment]
) -> tuple[Block, Floats, list[Moment], list[int]]:
    """Fill blocks of `length` with rows, in order. Return the unfinished block, the averages of the full ones, where
    each began, and the index of the row that completed it. A row with a NaN was not measured and is in no block."""
    if length == 1:
        return block, rows, list(moments), list(range(len(rows)))
    means: list[list[float]] = []
    firsts: list[Moment] = []
    ends: list[int] = []
    for k in np.flatnonzero(~np.isnan(rows).any(axis=1)).tolist():
        block = _added(block, rows[k].tolist(), moments[k])
        if block.count == length:
            means.append([value / length for value in block.sums])
            firsts.append(block.first)
            ends.append(k)
            block = Block()
    return block, np.array(means).reshape(len(means), rows.shape[1]), firsts, ends


def _added(block: Block, row: list[float], moment: Moment) -> Block:
    if not block.count:
        return Block(row, 1, moment)
    return Block([a + b for a, b in zip(block.sums, row, strict=True)], block.count + 1, block.first)


def choose_length(scores: Floats, places: Ints | None = None) -> int:
    """Return the shortest block (of `LENGTHS`) whose averages depend little on each other in `scores` (events x
    descriptors), and up to `FOR_SPREAD` their squares: for the most dependent descriptor, the inflation is at most
    `TOLERATED` plus two standard errors of its estimate (three where many neighbours are looked at).

    `places` are the events' places in the stream, rising, where some were left out in between."""
    at = np.arange(len(scores)) if places is None else places
    usable = [length for length in LENGTHS if len(_whole(at, length)[0]) >= FEWEST_BLOCKS] or [1]
    for length in usable:
        numbers, firsts = _whole(at, length)
        means = _means(scores, firsts, length)
        both = np.concatenate((means, _centred(means) ** 2), axis=1) if length < FOR_SPREAD else means
        if not _depend(both, numbers):
            return length
    return usable[-1]


def _depend(steps: Floats, numbers: Ints) -> bool:
    """Check whether a column's sums vary more than what is tolerated, beyond what chance explains: over a few
    neighbours, which are known best, or over many, where chance makes more of the most of many columns."""
    looks = ((_few(len(numbers)), 2.0), (_many(len(numbers)), 3.0))
    return any(
        float(_inflated(steps, numbers, lags).max(initial=1.0)) > _passing(lags, len(numbers), errors)
        for lags, errors in looks
    )


def inflation(steps: Floats, numbers: Ints | None = None, *, errors: float = 0.0) -> Floats:
    """Return how many times more the sum of many steps varies than if they were independent, of each column; at least
    1.

    Newey and West's estimate (1987) over a few neighbours or over many, whichever is more, plus so many of its standard
    errors. `numbers`: which steps these are, rising, where some are missing."""
    at = np.arange(len(steps)) if numbers is None else numbers
    few, many = (
        _inflated(steps, at, lags) + errors * _error(lags, len(steps)) for lags in (_few(len(steps)), _many(len(steps)))
    )
    inflated: Floats = np.maximum(1.0, np.maximum(few, many))
    return inflated


def _inflated(steps: Floats, at: Ints, lags: int) -> Floats:
    centred = _centred(steps)
    power = np.maximum((centred**2).mean(axis=0), 1e-300)
    total = np.ones(steps.shape[1])
    for lag in range(1, lags + 1):
        pairs = np.flatnonzero(at[lag:] - at[:-lag] == lag)
        products = (centred[pairs + lag] * centred[pairs]).sum(axis=0) / max(1, len(pairs))
        total += 2.0 * (1.0 - lag / (lags + 1)) * products / power
    return total


def varies(steps: Floats) -> NDArray[np.bool_]:
    """Return which columns differ from step to step, by more than how their numbers are rounded: the mean of equal
    losses is not always that loss, and what such steps are away from it looks like dependence without an end."""
    found: NDArray[np.bool_] = np.ptp(steps, axis=0) > ROUNDED * np.abs(steps).max(axis=0)
    return found


def _centred(steps: Floats) -> Floats:
    """Return steps less their mean; zeros where they are all the same."""
    return np.where(varies(steps), steps - steps.mean(axis=0), 0.0)


def wildness(scores: Floats) -> Floats:
    """Return how many times more each column of normal scores varies in its wild times than on average; at least 1.

    A bet on a shift is safe while scores vary as they do on average; for as long as they vary more it must be smaller.
    The local variance is that of stretches as long as the root of the number of steps."""
    length = math.isqrt(len(scores))
    stretches = len(scores) // max(1, length)
    if stretches < 2:
        return np.ones(scores.shape[1])
    local = (scores[: stretches * length] ** 2).reshape(stretches, length, -1).mean(axis=1)
    by_chance = 1.0 + NormalDist().inv_cdf(WILD) * math.sqrt(2.0 / length)
    found: Floats = np.maximum(1.0, np.quantile(local, WILD, axis=0) / by_chance)
    return found


def _few(steps: int) -> int:
    """Return the neighbours that are looked at closely."""
    return min(max(0, steps - 1), int(4.0 * (steps / 100.0) ** (2.0 / 9.0)))


def _many(steps: int) -> int:
    """Return the neighbours that are looked at: clients with levels of their own depend weakly, over hundreds of
    events."""
    return min(max(0, steps - 1), math.isqrt(steps))


def _passing(lags: int, steps: int, errors: float = 2.0) -> float:
    """Return the estimate up to which so many steps pass for independent enough."""
    return TOLERATED + errors * _error(lags, steps)


def many_errors(steps: int, errors: float) -> float:
    """Return the inflation of so many independent steps that chance exceeds by as many standard errors, and what is
    tolerated."""
    return _passing(_many(steps), steps, errors)


def _error(lags: int, steps: int) -> float:
    """Return the standard error of the inflation where steps are independent."""
    return math.sqrt(4.0 * lags / (3.0 * max(1, steps)))


def length_for(autocorrelation: float, events: int) -> tuple[int, float]:
    """Return the block that a reference of so many events chooses where correlation falls by so much with each event
    (AR(1)), and what a shift of one sigma of the scores is, in sigmas of one event: what dependence costs.

    >>> [length_for(rho, 2_000)[0] for rho in (0.0, 0.2, 0.4, 0.6)]
    [1, 2, 5, 10]
    """
    if not 0.0 <= autocorrelation < 1.0:
        raise ValueError(f"autocorrelation is {autocorrelation}, expected 0 to below 1")
    usable = [length for length in LENGTHS if events // length >= FEWEST_BLOCKS] or [1]
    passing = (n for n in usable if _left(n, autocorrelation) <= _passing(_few(events // n), events // n))
    length = next(passing, usable[-1])
    inflated = _left(length, autocorrelation) + ERRORS * _error(_many(events // length), events // length)
    return length, math.sqrt(_variance(length, autocorrelation) * inflated)


def _left(length: int, rho: float) -> float:
    """Return the inflation of the averages of an AR(1)."""
    return (1.0 + rho) / (1.0 - rho) / (length * _variance(length, rho))


def _variance(length: int, rho: float) -> float:
    """Return the variance of the averages of an AR(1)."""
    total = length * (1.0 - rho**2) - 2.0 * rho * (1.0 - rho**length)
    return total / (length * (1.0 - rho)) ** 2


def averages(scores: Floats, length: int, places: Ints | None = None) -> tuple[Floats, Ints]:
    """Return the means of each whole block of `length` rows, and the blocks' numbers; what lies in no whole block is
    left out. `places` as above: a block begins at each multiple of its length."""
    numbers, firsts = _whole(np.arange(len(scores)) if places is None else places, length)
    return _means(scores, firsts, length), numbers


def _whole(places: Ints, length: int) -> tuple[Ints, Ints]:
    """Return the numbers of the blocks none of whose places is missing, and the index at which each begins."""
    numbers, firsts, counts = np.unique(places // length, return_index=True, return_counts=True)
    whole = counts == length
    return numbers[whole], firsts[whole]


def _means(scores: Floats, firsts: Ints, length: int) -> Floats:
    means: Floats = scores[firsts[:, None] + np.arange(length)].mean(axis=1)
    return means
