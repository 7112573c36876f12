"""Few labels, and an estimate of every loss: bets that use both, and rest on the labels alone.

A model that judges answers, or a calibrated confidence, estimates the loss of each reply, labelled or not. Replies are
taken in groups of neighbours, in each of which a few were chosen by chance and labelled. The group's loss is then

    mean(loss of the labelled) - share * (mean(estimate of the labelled) - mean(estimate of all)),

the control variate of prediction-powered inference (Angelopoulos et al. 2023; risk monitoring with it: arXiv
2602.02229). Within a group the labelled ones are a random part, so the bracket has mean zero *whatever the estimates
are*, and the whole has the mean loss. It lies in [-share, 1 + share]: so `1 + stake * (value - rate)` with a stake
below `1 / (rate + share)` is never negative and has mean at most one while the risk is within `rate`. This is the bet
of `monitor.detectors.risk`, for finitely many labels, with no asymptotics.

Bets of two fifths of the weight do without estimates: so a judge that says nothing costs labels, no more than it takes
to win two and a half times as much, and never validity. Where the judge was away the gap is 0 and both kinds bet alike.

>>> detector = Powered(0.13, 10_000, Control(0.5, 0.7))
>>> moments = [(str(k), k) for k in range(60)]
>>> steps = [GroupLosses([0.0], 0.0)] * 30 + [GroupLosses([1.0], 0.4)] * 30
>>> _, found = detector.follow(detector.start(), steps, moments)
>>> found[0].since[0], found[0].step
('30', 36)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from monitor.detectors import mixture
from monitor.detectors.episode import Over
from monitor.detectors.interface import Floats, Moment
from monitor.detectors.mixture import Reached, State
from monitor.detectors.risk import EXCESSES, Risk

POWERED = 3  # of the excesses, on which bets by estimates are made
WEIGHT = 0.6  # of the bets by estimates: more saves more labels with a good judge, and costs more with a useless one
SAFE = 0.9  # of the largest stake that cannot ruin
ERRORS = 2.0  # standard errors by which a correlation must differ from none before estimates are used
FEWEST = 10  # labels that say anything of it
LEAST_LEFT = 0.05
MOST_SHARE = 0.65  # of the gap: a larger one leaves little less variance, and room for smaller stakes only


class Control(NamedTuple):
    """How much of the estimates is used. `share`: of their gap; `left`: of the losses' variance that this leaves."""

    share: float = 0.0
    left: float = 1.0


NO_CONTROL = Control()


class GroupLosses(NamedTuple):
    """The labelled replies of a group of neighbours. `gap`: the mean of their estimates less that of the whole group;
    0 where there are none."""

    losses: Sequence[float]
    gap: float = 0.0


def fitted(losses: Sequence[float], estimates: Sequence[float], rate: float, group: float) -> Control:
    """Return how to use estimates, from labelled replies of a healthy time. `rate`: the mean loss at which they are to
    serve best, which is more than the healthy one: losses weigh more, until their mean is that. `group`: neighbours
    for each labelled one.

    Whatever it returns is valid; the best leaves the least variance. Estimates that do not differ, or whose correlation
    chance would explain, are not used.

    >>> fitted([0.0, 1.0] * 50, [0.2, 0.6] * 50, 0.5, 20), fitted([0.0, 1.0] * 50, [0.3] * 100, 0.5, 20)
    (Control(share=0.65, left=0.5702), Control(share=0.0, left=1.0))
    """
    lost, guessed = np.asarray(losses, dtype=np.float64), np.asarray(estimates, dtype=np.float64)
    if len(lost) < FEWEST or min(lost.std(), guessed.std()) < 1e-9:
        return Control()
    if float(np.corrcoef(lost, guessed)[0, 1]) * math.sqrt(len(lost)) < ERRORS:
        return Control()
    (power, together), (_, spread) = np.cov(lost, guessed, ddof=0, aweights=1.0 + _tilt(lost, rate) * lost)
    share = min(MOST_SHARE, float(together / spread))
    gained = (2.0 * share * together - share**2 * spread) / power * (1.0 - 1.0 / group)
    return Control(round(share, 4), round(max(LEAST_LEFT, float(1.0 - gained)), 4))


def _tilt(losses: Floats, rate: float) -> float:
    """Return how much more a loss of 1 weighs than one of 0, so that the mean loss is `rate`."""
    total, squares = float(losses.sum()), float((losses**2).sum())
    room = squares - rate * total
    return max(0.0, (rate * len(losses) - total) / room) if room > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Powered:
    """`rate`: the mean loss that is still accepted. `arl`: groups with labels between false alarms, at least.
    `inflation`, `graded`: as `monitor.detectors.risk.Risk` has it."""

    rate: float
    arl: float
    control: Control = NO_CONTROL
    excesses: tuple[float, ...] = EXCESSES
    inflation: float = 1.0
    graded: bool = False

    def start(self) -> State:
        """Return the state in which nothing was seen."""
        return mixture.start(len(self.weights))

    @property
    def weights(self) -> Floats:
        """Return the weights of the bets by labels alone, and of those by estimates too. Large harm is found soon
        without estimates, and the stakes on it are all the largest ones there."""
        alone, powered = len(self.excesses), min(POWERED, len(self.excesses))
        return np.repeat([(1.0 - WEIGHT) / alone, WEIGHT / powered], [alone, powered])

    def follow(
        self, state: State, steps: Sequence[GroupLosses], moments: Sequence[Moment], clear_after: int = 0
    ) -> tuple[State, list[Reached | Over]]:
        """Take groups in order. Return each harm and each end of one: after `clear_after` quiet groups; 0: never. A
        group without a label is no step."""
        weights = self.weights
        gains = np.array([self.gains(step) for step in steps]).reshape(len(steps), len(weights))
        return mixture.advance(self.arl, weights, state, gains, moments, clear_after)

    def evidence(self, state: State) -> float:
        """Return the average of the bets' statistics over the threshold."""
        return mixture.statistic(state, self.weights) / self.arl if state.sums else 0.0

    def gains(self, step: GroupLosses) -> list[float]:
        """Return the logarithm of each bet's factor: those by labels alone, then those by estimates too."""
        if not step.losses:
            return [math.nan] * len(self.weights)
        losses = [_loss(each) for each in step.losses]
        stakes = Risk(self.rate, self.arl, self.excesses, self.inflation, self.graded).stakes
        alone = [math.fsum(math.log1p(each * (loss - self.rate)) for loss in losses) for each in stakes]
        if not self.control.share:
            return alone + alone[:POWERED]
        value = math.fsum(losses) / len(losses) - self.control.share * step.gap - self.rate
        most = SAFE / (self.rate + self.control.share)
        bold = (min(most, len(losses) * each / self.control.left) for each in stakes[:POWERED])
        powered = [math.log1p(each * value) for each in bold]
        return alone + powered


def _loss(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"loss is {value}, expected 0 to 1")
    return value


def gaps(estimates: Floats, labelled: Sequence[int]) -> list[float]:
    """Return how far the estimate of each labelled reply of a group is from the mean of the group's; 0 for all where
    an estimate is missing (NaN)."""
    mean = float(estimates.mean()) if len(estimates) else math.nan
    return [0.0 if math.isnan(mean) else float(estimates[place]) - mean for place in labelled]
