"""The rhythm of day and week in a reference, so that an evening is compared with evenings.

Waves of the day and the week are fitted to the reference's normal scores, each only where the reference spans its
period twice and it stands out of what neighbouring events' dependence could feign. What the fit expects of a moment is
taken off each event's score. A wave costs two parameters of each descriptor: the reference then counts for as many
times less (`parameters`), far less than if each hour had events of its own to be compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAY_MS, WEEK_MS = 86_400_000, 604_800_000
OF_THE_DAY = tuple(range(1, 13))  # cycles a day: edges of an hour
OF_THE_WEEK = (1, 2, 3, 5, 6, 8, 9)  # cycles a week; weekdays and weekends, and days that differ between them
PERIODS = 1.8  # that a reference must span: two, less what a sample lacks at its ends
FEIGNED = 0.01  # chance that a reference without a rhythm is given one
LEAST_EVENTS = 100  # fewer say nothing of a rhythm
RELATIVE = 1e-6  # a value that is smaller than this share of the largest counts as nothing: hours that were never seen


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`waves`: cycles a week; none where there is no rhythm. `weights`: (1 + 2 x waves) x descriptors. `low`, `high`:
    of each descriptor, what the reference's own times were given; an hour that it lacks is given no more."""

    waves: tuple[int, ...]
    weights: Floats
    low: Floats
    high: Floats

    @property
    def parameters(self) -> int:
        """Return the parameters of each descriptor, fitted to the reference."""
        return 1 + 2 * len(self.waves)

    def expected(self, times_ms: Sequence[int]) -> Floats:
        """Return scores at these times, shape (events, descriptors)."""
        return np.clip(_sum(self.waves, np.asarray(times_ms), self.weights), self.low, self.high)


def find(scores: Floats, times_ms: Sequence[int]) -> Rhythm:
    """Return the rhythm of these scores (events x descriptors), which may be none."""
    times = np.asarray(times_ms, dtype=np.int64)
    candidates = _candidates(times) if scores.size else ()
    waves = _chosen(_Fit(candidates, times, scores)) if candidates else ()
    if not waves:
        nothing = np.zeros(scores.shape[1])
        return Rhythm((), nothing[None], nothing, nothing)
    fit = np.linalg.lstsq(_design(waves, times), scores, rcond=RELATIVE)[0]
    weights: Floats = fit.astype(np.float64).round(6)
    fitted = _sum(waves, times, weights)
    return Rhythm(waves, weights, fitted.min(axis=0), fitted.max(axis=0))


def _candidates(times: NDArray[np.int64]) -> tuple[int, ...]:
    span = int(times.max() - times.min()) if len(times) >= LEAST_EVENTS else 0
    days = tuple(7 * cycles for cycles in OF_THE_DAY) if span >= PERIODS * DAY_MS else ()
    return days + (OF_THE_WEEK if span >= PERIODS * WEEK_MS else ())


class _Fit:
    """Products of the candidates' waves with each other and with the scores: every choice of waves is fitted from
    these alone."""

    def __init__(self, candidates: tuple[int, ...], times: NDArray[np.int64], scores: Floats) -> None:
        design = _design(candidates, times)
        self.candidates, self.descriptors = candidates, scores.shape[1]
        self.gram, self.moments = design.T @ design, design.T @ scores
        self.noise = _noise(scores - design @ self._weights(list(range(design.shape[1]))))

    def explained(self, taken: tuple[int, ...]) -> dict[int, float]:
        """Return what each other wave would add, in its variance by chance; of the descriptor for which that is
        most."""
        inside = self._columns(taken)
        rest = self.moments - self.gram[:, inside] @ self._weights(inside)
        return {wave: self._power(rest, wave) for wave in self.candidates if wave not in taken}

    def _power(self, rest: Floats, wave: int) -> float:
        own = self._columns((wave,))
        added = np.linalg.pinv(self.gram[np.ix_(own, own)], rcond=RELATIVE) @ rest[own]
        return float(((added * rest[own]).sum(axis=0) / self.noise).max())

    def _weights(self, inside: list[int]) -> Floats:
        weights: Floats = np.linalg.pinv(self.gram[np.ix_(inside, inside)], rcond=RELATIVE) @ self.moments[inside]
        return weights

    def _columns(self, waves: tuple[int, ...]) -> list[int]:
        places = [self.candidates.index(wave) for wave in waves]
        return [0, *(1 + place for place in places), *(1 + len(self.candidates) + place for place in places)]


def _chosen(fit: _Fit) -> tuple[int, ...]:
    """Waves in the order of what they explain, as long as that is more than chance: a wave of noise explains twice an
    exponential of its variance."""
    enough = 2.0 * math.log(fit.descriptors * len(fit.candidates) / FEIGNED)
    waves: tuple[int, ...] = ()
    while left := fit.explained(waves):
        best = max(left, key=lambda wave: left[wave])
        if left[best] <= enough:
            break
        waves = (*waves, best)
    return waves


def _noise(rest: Floats) -> Floats:
    """Variance of each descriptor as slow waves see it: that of averages over many events, times their number."""
    length = max(1, math.isqrt(len(rest)))
    blocks = len(rest) // length
    slow = rest[: blocks * length].reshape(blocks, length, -1).mean(axis=1).var(axis=0) * length
    noise: Floats = np.maximum(slow, rest.var(axis=0))
    return np.where(noise > 0, noise, np.inf)


def _sum(waves: tuple[int, ...], times: NDArray[np.int64], weights: Floats) -> Floats:
    """Term by term: a product of matrices depends in its last bit on how many events are asked at once."""
    design, total = _design(waves, times), np.zeros((len(times), weights.shape[1]))
    for column, weight in zip(design.T, weights, strict=True):
        total += column[:, None] * weight
    return total


def _design(waves: tuple[int, ...], times: NDArray[np.int64]) -> Floats:
    """Shape (events, 1 + 2 x waves)."""
    turns = 2.0 * np.pi * (times % WEEK_MS)[:, None] / WEEK_MS * np.array(waves, dtype=np.float64)
    return np.concatenate((np.ones((len(times), 1)), np.cos(turns), np.sin(turns)), axis=1)
