"""Page-Hinkley, two-sided (Page 1954, Hinkley 1971), as drift libraries have it: a plain reference without a guarantee.

It compares the running sum of deviations from the running mean with that sum's extreme. `threshold` sets no run
length: that depends on the data.

>>> import numpy as np
>>> values = np.random.default_rng(0).standard_normal(300)
>>> values[200:] += 1.0
>>> detector = PageHinkley()
>>> _, change = detector.update(detector.start(), values, [(str(k), k) for k in range(300)])
>>> change.step, change.what
(259, 'mean rose')
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from monitor.detectors.interface import Change, Floats, Moment, finite


class State(msgspec.Struct, frozen=True):
    """Upwards and downwards: the sum, its extreme, and where that was."""

    count: int = 0
    mean: float = 0.0
    sums: tuple[float, float] = (0.0, 0.0)
    lowest: tuple[float, float] = (0.0, 0.0)
    since: tuple[Moment, Moment] = (("", 0), ("", 0))


@dataclass(frozen=True, slots=True)
class PageHinkley:
    """`threshold` and `delta` in units of the values; the first `warm_up` values are never a change."""

    threshold: float = 50.0
    delta: float = 0.005
    warm_up: int = 30

    def start(self) -> State:
        """Nothing seen."""
        return State()

    def update(self, state: State, values: Floats, moments: Sequence[Moment]) -> tuple[State, Change | None]:
        """Takes values in order."""
        finite(values, "value")
        change: Change | None = None
        for k, (value, moment) in enumerate(zip(values.tolist(), moments, strict=True)):
            if math.isnan(value):
                continue
            below = self.evidence(state) < 1.0
            state = self._step(state, value, moment)
            if below and change is None and self.evidence(state) >= 1.0:
                rises = [total - low for total, low in zip(state.sums, state.lowest, strict=True)]
                side = rises.index(max(rises))
                change = Change(k, rises[side], state.since[side], ("mean rose", "mean fell")[side])
        return state, change

    def evidence(self, state: State) -> float:
        """The larger rise over the threshold."""
        if state.count < self.warm_up:
            return 0.0
        return max(total - low for total, low in zip(state.sums, state.lowest, strict=True)) / self.threshold

    def _step(self, state: State, value: float, moment: Moment) -> State:
        count = state.count + 1
        mean = state.mean + (value - state.mean) / count
        sums, lowest, since = [], [], []
        for i, gain in enumerate((value - mean - self.delta, mean - value - self.delta)):
            total = state.sums[i] + gain
            lower = total <= state.lowest[i]
            sums.append(total)
            lowest.append(total if lower else state.lowest[i])
            since.append(moment if lower or not state.count else state.since[i])
        return State(count, mean, (sums[0], sums[1]), (lowest[0], lowest[1]), (since[0], since[1]))
