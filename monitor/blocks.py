"""Dependence between events, taken out before any test sees it.

A test that takes dependent events for independent ones fires far too often: bursts of three near-identical messages
bring 10,000 events between false alarms down to 219, an autocorrelation of 0.2 to 2,460. So a client's burst counts
once, and scores are averaged over blocks long enough that neighbouring averages hardly depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.fingerprint import near

Floats = NDArray[np.float64]

LENGTHS = (1, 2, 5, 10, 20, 50)
TOLERATED = 0.1  # autocorrelation of neighbouring block averages that costs next to nothing
FEWEST_BLOCKS = 30  # a reference of fewer block averages says too little
CLIENTS_KEPT = 512

Clients = dict[str, int]  # a client's last text fingerprint


def first_of_bursts(clients: Sequence[str], texts: Sequence[int], last: Clients) -> tuple[list[bool], Clients]:
    """Which events start a burst or stand alone; the others repeat their client's previous message.

    `last` is what each client said before; the clients heard last are kept. Without fingerprints nothing is a burst."""
    if not texts:
        return [True] * len(clients), last
    seen = dict(last)
    fresh = []
    for client, text in zip(clients, texts, strict=True):
        before = seen.pop(client, None)
        seen[client] = text
        fresh.append(before is None or not near(before, text))
        if len(seen) > CLIENTS_KEPT:
            del seen[next(iter(seen))]
    return fresh, seen


def choose_length(scores: Floats) -> int:
    """The shortest block (of `LENGTHS`) whose averages pass for independent in `scores` (events x descriptors).

    Allows `TOLERATED` plus two standard errors of the estimate for the most dependent descriptor."""
    usable = [length for length in LENGTHS if len(scores) // length >= FEWEST_BLOCKS] or [1]
    for length in usable:
        blocks = averages(scores, length)
        if float(neighbour_correlation(blocks).max(initial=0.0)) <= TOLERATED + 2.0 / np.sqrt(len(blocks)):
            return length
    return usable[-1]


def length_for(autocorrelation: float) -> tuple[int, float]:
    """The block that a stream takes whose correlation falls by so much with each event (AR(1)), and the standard
    deviation of its averages in sigmas of one event: what dependence costs.

    >>> length_for(0.0), [length_for(rho)[0] for rho in (0.2, 0.4, 0.6)]
    ((1, 1.0), [5, 10, 20])
    """
    if not 0.0 <= autocorrelation < 1.0:
        raise ValueError(f"autocorrelation is {autocorrelation}, expected 0 to below 1")
    length = next((n for n in LENGTHS if _neighbours(n, autocorrelation) <= TOLERATED), LENGTHS[-1])
    return length, math.sqrt(_spread(length, autocorrelation)) / (length * (1.0 - autocorrelation))


def _neighbours(length: int, rho: float) -> float:
    """Correlation of neighbouring averages of an AR(1)."""
    return rho * (1.0 - rho**length) ** 2 / _spread(length, rho)


def _spread(length: int, rho: float) -> float:
    """Variance of the sum of so many, times (1 - rho)^2."""
    return length * (1.0 - rho**2) - 2.0 * rho * (1.0 - rho**length)


def averages(scores: Floats, length: int) -> Floats:
    """Means of each full block of `length` rows; a rest is left out."""
    blocks = len(scores) // length
    means: Floats = scores[: blocks * length].reshape(blocks, length, -1).mean(axis=1)
    return means


def neighbour_correlation(scores: Floats) -> Floats:
    """Lag-one autocorrelation of each column; 0 where a column does not vary."""
    centred = scores - scores.mean(axis=0)
    power = (centred**2).sum(axis=0)
    correlations: Floats = (centred[1:] * centred[:-1]).sum(axis=0) / np.where(power > 0, power, np.inf)
    return correlations
