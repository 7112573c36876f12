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
        """Of each descriptor, fitted to the reference."""
        return 1 + 2 * len(self.waves)

    def expected(self, times_ms: Sequence[int]) -> Floats:
        """Scores at these times, shape (events, descriptors)."""
        fitted = _design(self.waves, np.asarray(times_ms)) @ self.weights
        return np.clip(fitted, self.low, self.high)


def find(scores: Floats, times_ms: Sequence[int]) -> Rhythm:
    """The rhythm of these scores (events x descriptors), which may be none."""
    times = np.asarray(times_ms, dtype=np.int64)
    candidates = _candidates(times)
    waves: tuple[int, ...] = ()
    if candidates and scores.size:
        noise = _noise(scores - _fitted(candidates, times, scores))
        while wave := _strongest(candidates, waves, times, scores, noise):
            waves = (*waves, wave)
    weights = _weights(waves, times, scores) if waves else np.zeros((1, scores.shape[1]))
    fitted = _design(waves, times) @ weights if waves else np.zeros((1, scores.shape[1]))
    return Rhythm(waves, weights, fitted.min(axis=0), fitted.max(axis=0))


def _candidates(times: NDArray[np.int64]) -> tuple[int, ...]:
    span = int(times.max() - times.min()) if len(times) >= LEAST_EVENTS else 0
    days = tuple(7 * cycles for cycles in OF_THE_DAY) if span >= PERIODS * DAY_MS else ()
    return days + (OF_THE_WEEK if span >= PERIODS * WEEK_MS else ())


def _strongest(
    candidates: tuple[int, ...], waves: tuple[int, ...], times: NDArray[np.int64], scores: Floats, noise: Floats
) -> int | None:
    """The wave that explains most beyond those taken, if it is more than chance."""
    left = [wave for wave in candidates if wave not in waves]
    rest = scores - _fitted(waves, times, scores)
    power = [float((_explained(wave, times, rest) / noise).max()) for wave in left]
    # of a wave of noise, power / 2 has an exponential distribution
    trials = scores.shape[1] * (1 if waves else len(candidates))
    enough = 2.0 * math.log(trials / FEIGNED)
    if not left or max(power) <= enough:
        return None
    return left[power.index(max(power))]


def _explained(wave: int, times: NDArray[np.int64], rest: Floats) -> Floats:
    """Sum of squares of each descriptor."""
    total: Floats = (_fitted((wave,), times, rest) ** 2).sum(axis=0)
    return total


def _noise(rest: Floats) -> Floats:
    """Variance of each descriptor as slow waves see it: that of averages over many events, times their number."""
    length = max(1, math.isqrt(len(rest)))
    blocks = len(rest) // length
    slow = rest[: blocks * length].reshape(blocks, length, -1).mean(axis=1).var(axis=0) * length
    noise: Floats = np.maximum(slow, rest.var(axis=0))
    return np.where(noise > 0, noise, np.inf)


def _fitted(waves: tuple[int, ...], times: NDArray[np.int64], scores: Floats) -> Floats:
    fitted: Floats = _design(waves, times) @ _weights(waves, times, scores)
    return fitted


def _weights(waves: tuple[int, ...], times: NDArray[np.int64], scores: Floats) -> Floats:
    weights: Floats = np.linalg.lstsq(_design(waves, times), scores, rcond=1e-6)[0]
    return weights


def _design(waves: tuple[int, ...], times: NDArray[np.int64]) -> Floats:
    """Shape (events, 1 + 2 x waves)."""
    turns = 2.0 * np.pi * (times % WEEK_MS)[:, None] / WEEK_MS * np.array(waves, dtype=np.float64)
    return np.concatenate((np.ones((len(times), 1)), np.cos(turns), np.sin(turns)), axis=1)
