"""Did the descriptors move? A mixture of bets on shifts of each one's mean and on other spreads.

Takes normal scores (`monitor.reference`): standard normal while nothing changes, up to what a finite reference leaves
uncertain, which the dead zone takes off every bet. At least `arl` steps pass on average between false alarms, over all
descriptors together and however they depend on each other (`monitor.detectors.mixture`).

>>> scores = np.random.default_rng(0).standard_normal((300, 3))
>>> scores[200:, 1] += 1.0
>>> detector = LocationSpread(arl=10_000, dead_zone=0.02, names=("a", "b", "c"))
>>> _, change = detector.update(detector.start(), scores, [(str(k), k) for k in range(300)])
>>> change.step, change.since[0], change.what
(222, '201', 'b (mean +1 sigma)')
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitor.detectors import mixture
from monitor.detectors.interface import Change, Floats, Moment, finite
from monitor.detectors.mixture import State

SHIFTS = tuple(sign * size for size in (0.2, 0.35, 0.5, 0.75, 1.0, 1.4, 2.0, 2.8) for sign in (1.0, -1.0))
SPREADS = (0.5, 0.7, 1.4, 2.0)
ALTERNATIVES = (*(f"mean {shift:+g} sigma" for shift in SHIFTS), *(f"spread x{spread:g}" for spread in SPREADS))


@dataclass(frozen=True, slots=True)
class LocationSpread:
    """`arl`: steps between false alarms, at least. `dead_zone`: what a finite reference makes uncertain, in sigmas.
    `names`: of the descriptors."""

    arl: float
    dead_zone: float
    names: tuple[str, ...]

    def start(self) -> State:
        """Nothing seen."""
        return start(len(self.names))

    def update(self, state: State, values: Floats, moments: Sequence[Moment]) -> tuple[State, Change | None]:
        """Takes normal scores, steps x descriptors."""
        finite(values, "score")
        state, found = mixture.advance(self.arl, state, log_ratios(self.dead_zone, values), moments)
        if found is None:
            return state, None
        what = f"{self.names[found.column]} ({ALTERNATIVES[found.bet]})"
        return state, Change(found.step, found.statistic, found.since, what, found.column, found.each)

    def evidence(self, state: State) -> float:
        """The statistic over the threshold."""
        return mixture.statistic(state) / self.arl


def start(descriptors: int) -> State:
    """Nothing seen of so many."""
    return mixture.start(descriptors, len(ALTERNATIVES))


def log_ratios(dead_zone: float, scores: Floats) -> Floats:
    """Log-likelihood ratios of each alternative to a standard normal, shape (*scores.shape, alternatives), made
    smaller by what the estimated reference could have added.

    The reference's mean is uncertain by 1/sqrt(n), its variance by sqrt(2/n): the dead zone takes each alternative's
    sensitivity to those."""
    z = scores[..., None]
    shifted = _SHIFTS * z - (_SHIFTS**2 / 2 + np.abs(_SHIFTS) * dead_zone)
    spread = _CURVES * z * z - (_LOG_SPREADS + _SENSITIVITIES * dead_zone)
    return np.concatenate((shifted, spread), axis=-1)


_SHIFTS = np.array(SHIFTS)
_CURVES = (1.0 - np.array(SPREADS) ** -2) / 2.0
_LOG_SPREADS = np.log(SPREADS)
_SENSITIVITIES = np.abs(np.array(SPREADS) ** 2 - 1.0) / np.sqrt(2.0)
