"""Did the descriptors move? A mixture of bets on shifts of each one's mean and on other spreads.

Takes normal scores (`monitor.reference.frozen`): standard normal while nothing changes, up to what a finite reference
leaves uncertain, which the dead zone takes off every bet. At least `arl` steps pass on average between false alarms,
over all descriptors together and however they depend on each other (`monitor.detectors.mixture`).

>>> scores = np.random.default_rng(0).standard_normal((300, 3))
>>> scores[200:, 1] += 1.0
>>> detector = LocationSpread(arl=10_000, dead_zone=0.02, names=("a", "b", "c"))
>>> _, change = detector.update(detector.start(), scores, [(str(k), k) for k in range(300)])
>>> change.step, change.since[0], change.what
(222, '201', 'b (mean +0.8 sigma)')
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from monitor.detectors import mixture
from monitor.detectors.interface import Change, Floats, Moment, finite
from monitor.detectors.mixture import Reached, State

# Each twice the one before, so that what lies between two is found nearly as soon; a finer grid has each bet wait for
# its neighbours (twenty bets find 0.25 sigma 5 % later than these twelve, and 1 sigma 2 % sooner).
SHIFTS = tuple(sign * size for size in (0.2, 0.4, 0.8, 1.6) for sign in (1.0, -1.0))
SPREADS = (0.5, 0.75, 1.3, 2.0)
ALTERNATIVES = (*(f"mean {shift:+g} sigma" for shift in SHIFTS), *(f"spread x{spread:g}" for spread in SPREADS))


@dataclass(frozen=True, slots=True)
class LocationSpread:
    """`arl`: steps between false alarms, at least. `dead_zone`: what a finite reference makes uncertain, in sigmas.
    `names`: of the descriptors. `inflation`: how many times more each one's sums vary than those of independent scores
    (`monitor.detectors.blocks.inflation`, times `wildness`); `spreading`: the same of the sums of its squares."""

    arl: float
    dead_zone: float
    names: tuple[str, ...]
    inflation: tuple[float, ...] = ()
    spreading: tuple[float, ...] = ()

    @property
    def weights(self) -> Floats:
        """Return the weights of the bets: alike."""
        return mixture.even(len(self.names) * len(ALTERNATIVES))

    def start(self) -> State:
        """Return the state in which nothing was seen."""
        return mixture.start(len(self.weights))

    def update(self, state: State, values: Floats, moments: Sequence[Moment]) -> tuple[State, Change | None]:
        """Take normal scores, steps x descriptors."""
        state, transitions = mixture.advance(self.arl, self.weights, state, self.gains(values), moments)
        found = mixture.first(transitions)
        return state, self.change(found) if found else None

    def gains(self, values: Floats) -> Floats:
        """Return log factors of the bets on normal scores, shape (steps, bets). ValueError for a score that is
        infinite."""
        finite(values, "score")
        ratios = log_ratios(self.dead_zone, values, np.array(self.inflation or 1.0), np.array(self.spreading or 1.0))
        return ratios.reshape(len(values), len(self.weights))

    def change(self, found: Reached) -> Change:
        """Describe the change for people: the descriptor that moved most, and how."""
        column, bet = divmod(found.bet, len(ALTERNATIVES))
        each = tuple(found.sums.reshape(-1, len(ALTERNATIVES)).mean(axis=1).tolist())
        what = f"{self.names[column]} ({ALTERNATIVES[bet]})"
        return Change(found.step, found.statistic, found.since, what, column, each)

    def evidence(self, state: State) -> float:
        """Return the statistic over the threshold."""
        return mixture.statistic(state, self.weights) / self.arl


def dead_zone(arl: float, size: float, descriptors: int) -> float:
    """Return what `arl` steps between false alarms need against a reference that counts for `size` independent steps,
    in sigmas.

    The reference's mean is off by 1/sqrt(size) or so, each descriptor's by another amount. What that brings about
    takes time: a run length that is short against the reference needs no dead zone, a long one finds the worst of many
    descriptors. In standard errors, simulated for 1 to 64 descriptors, references of 100 to 2,000 and run lengths of
    200 to 100,000, the least that keeps mean and early alarms as asked is close to log10(9 sqrt(descriptors * arl) /
    size). Twenty instead of nine is the margin; and never more than what nineteen references in twenty stay within.

    >>> [round(dead_zone(10_000, size, 15), 4) for size in (500, 2_000, 10_000)]
    [0.0532, 0.0131, 0.0]
    """
    needed = math.log10(20.0 * math.sqrt(descriptors * arl) / size)
    enough = NormalDist().inv_cdf(1.0 - 0.05 / (2.0 * descriptors))
    return min(max(0.0, needed), enough) / math.sqrt(size)


def log_ratios(
    dead_zone: float, scores: Floats, inflation: Floats | float = 1.0, spreading: Floats | float = 1.0
) -> Floats:
    """Return log-likelihood ratios of each alternative to a standard normal, shape (*scores.shape, alternatives), made
    smaller by what the estimated reference could have added. Scores, and the excess of their squares, are divided by
    the root of what dependence makes of the variance of their sums.

    The reference's mean is uncertain by 1/sqrt(n), its variance by sqrt(2/n): the dead zone takes each alternative's
    sensitivity to those."""
    squares = (1.0 + (scores * scores - 1.0) / np.sqrt(spreading))[..., None]
    shifted = _SHIFTS * (scores / np.sqrt(inflation))[..., None] - (_SHIFTS**2 / 2 + np.abs(_SHIFTS) * dead_zone)
    spread = _CURVES * squares - (_LOG_SPREADS + _SENSITIVITIES * dead_zone)
    return np.concatenate((shifted, spread), axis=-1)


_SHIFTS = np.array(SHIFTS)
_CURVES = (1.0 - np.array(SPREADS) ** -2) / 2.0
_LOG_SPREADS = np.log(SPREADS)
_SENSITIVITIES = np.abs(np.array(SPREADS) ** 2 - 1.0) / np.sqrt(2.0)
