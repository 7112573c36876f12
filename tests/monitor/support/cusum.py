"""CUSUM of normal scores, two-sided (Page 1954): the plain reference that the mixture is compared with.

Its threshold is Siegmund's approximation (1985) for independent normal scores: the run length it asks for is kept
about, and only there. Nothing here is valid under dependence or with a finite reference.

>>> import numpy as np
>>> scores = np.random.default_rng(0).standard_normal(300)
>>> scores[200:] += 1.0
>>> detector = Cusum(arl=10_000)
>>> _, change = detector.update(detector.start(), scores, [(str(k), k) for k in range(300)])
>>> change.step, change.since[0], change.what
(213, '203', 'mean rose')
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from monitor.detectors.interface import Change, Floats, Moment, finite

ALLOWANCE = 0.5  # half the shift, in sigmas, that it is fastest for


class State(msgspec.Struct, frozen=True):
    """The sums upwards and downwards, and where each began."""

    sums: tuple[float, float] = (0.0, 0.0)
    since: tuple[Moment, Moment] = (("", 0), ("", 0))


@dataclass(frozen=True, slots=True)
class Cusum:
    """`arl`: steps between false alarms, about."""

    arl: float
    allowance: float = ALLOWANCE

    @property
    def threshold(self) -> float:
        """Of each side's sum: two sides share the run length."""
        return siegmund(2.0 * self.arl, self.allowance)

    def start(self) -> State:
        """Nothing seen."""
        return State()

    def update(self, state: State, values: Floats, moments: Sequence[Moment]) -> tuple[State, Change | None]:
        """Takes normal scores in order."""
        finite(values, "score")
        change: Change | None = None
        threshold = self.threshold
        for k, (score, moment) in enumerate(zip(values.tolist(), moments, strict=True)):
            if math.isnan(score):
                continue
            below = max(state.sums) < threshold
            state = self._step(state, score, moment)
            if below and change is None and max(state.sums) >= threshold:
                side = state.sums.index(max(state.sums))
                change = Change(k, state.sums[side], state.since[side], ("mean rose", "mean fell")[side])
        return state, change

    def evidence(self, state: State) -> float:
        """The larger sum over the threshold."""
        return max(state.sums) / self.threshold

    def _step(self, state: State, score: float, moment: Moment) -> State:
        sums, since = [], []
        for total, began, gain in zip(state.sums, state.since, (score, -score), strict=True):
            sums.append(max(0.0, total + gain - self.allowance))
            since.append(began if total > 0.0 else moment)
        return State((sums[0], sums[1]), (since[0], since[1]))


def siegmund(arl: float, allowance: float) -> float:
    """The threshold of a one-sided CUSUM with that run length, by bisection.

    >>> round(siegmund(2 * 465, 0.5), 1)  # the textbook's: h = 5 has 465 for two sides
    5.0
    """
    low, high = 0.0, 1e4
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _run_length(middle, allowance) < arl else (low, middle)
    return high


def _run_length(threshold: float, allowance: float) -> float:
    b = 2.0 * allowance * (threshold + 1.166)
    return (math.exp(b) - b - 1.0) / (2.0 * allowance**2) if b < 700.0 else math.inf
