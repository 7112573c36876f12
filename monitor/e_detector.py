"""Mixture e-Shiryaev-Roberts: how long until we are sure that the descriptors moved?

For each descriptor and each alternative (a shift of the mean or another spread of its normal score) the statistic
`R <- (1 + R) * likelihood ratio` has mean at most the number of steps while nothing changes. So has any average of
such statistics, however dependent the descriptors are; when the average first reaches `arl`, at least `arl` steps
have passed on average (Shin, Ramdas and Rinaldo 2022, "E-detectors"). One threshold, one budget for all descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SHIFTS = tuple(sign * size for size in (0.2, 0.35, 0.5, 0.75, 1.0, 1.4, 2.0, 2.8) for sign in (1.0, -1.0))
SPREADS = (0.5, 0.7, 1.4, 2.0)
CEILING = 1e6  # a statistic never exceeds this many thresholds, so that it can come down again

Moment = tuple[str, int]  # event id, event time in ms


@dataclass(frozen=True, slots=True)
class Detector:
    """`arl`: steps between false alarms, at least. `dead_zone`: what a finite reference makes uncertain, in sigmas."""

    arl: float
    dead_zone: float


class State(msgspec.Struct, frozen=True):
    """Per descriptor and alternative: the statistic, and the running log-likelihood ratio with the step it began."""

    sums: list[list[float]]
    walks: list[list[float]]
    starts: list[list[int]]
    steps: int = 0
    moments: dict[int, Moment] = {}  # of the steps that `starts` names


@dataclass(frozen=True, slots=True)
class Change:
    """The step that completed the evidence, and where and since when it speaks."""

    step: int  # index into the scores given
    statistic: float
    since: Moment
    descriptor: int  # the one that moved most
    alternative: str
    each: list[float]  # the statistic of each descriptor


def start(descriptors: int) -> State:
    """Nothing seen yet."""
    shape = (descriptors, len(SHIFTS) + len(SPREADS))
    return State(np.zeros(shape).tolist(), np.zeros(shape).tolist(), np.zeros(shape, np.int64).tolist())


def statistic(state: State) -> float:
    """The average that is compared with `Detector.arl`."""
    return float(np.mean(state.sums)) if state.sums else 0.0


def update(detector: Detector, state: State, scores: Floats, moments: list[Moment]) -> tuple[State, Change | None]:
    """Takes normal scores (steps x descriptors) in order; tells the first step at which the average reaches `arl`.

    How the scores are cut into calls changes nothing. The caller silences an alarm that was already raised."""
    sums, walks = np.array(state.sums), np.array(state.walks)
    starts = np.array(state.starts, dtype=np.int64)
    known = _lookup(state, moments)
    change: Change | None = None
    already = statistic(state) >= detector.arl
    for k, row in enumerate(scores):
        gains = log_ratios(detector.dead_zone, row)
        sums = np.minimum((sums + 1.0) * np.exp(gains), CEILING * detector.arl)
        starts[walks <= 0.0] = state.steps + k
        walks = np.maximum(walks, 0.0) + gains
        reached = float(sums.mean()) >= detector.arl
        if reached and not already and change is None:
            change = _change(k, sums, starts, known)
        already = reached
    if len(scores):
        known = {step: known[step] for step in np.unique(starts).tolist()}
    return State(sums.tolist(), walks.tolist(), starts.tolist(), state.steps + len(scores), known), change


def log_ratios(dead_zone: float, row: Floats) -> Floats:
    """Log-likelihood ratios of each alternative to a standard normal, shape (descriptors, alternatives), made smaller
    by what the estimated reference could have added.

    The reference's mean is uncertain by 1/sqrt(n), its variance by sqrt(2/n): the dead zone takes each alternative's
    sensitivity to those."""
    z = row[:, None]
    shifted = _SHIFTS * z - (_SHIFTS**2 / 2 + np.abs(_SHIFTS) * dead_zone)
    spread = _CURVES * z * z - (_LOG_SPREADS + _SENSITIVITIES * dead_zone)
    return np.concatenate((shifted, spread), axis=1)


def _change(step: int, sums: Floats, starts: Ints, moments: dict[int, Moment]) -> Change:
    descriptor, alternative = (int(i) for i in np.unravel_index(int(sums.argmax()), sums.shape))
    since = moments[int(starts[descriptor, alternative])]
    return Change(step, float(sums.mean()), since, descriptor, ALTERNATIVES[alternative], sums.mean(axis=1).tolist())


def _lookup(state: State, moments: list[Moment]) -> dict[int, Moment]:
    return {**state.moments, **{state.steps + k: moment for k, moment in enumerate(moments)}}


ALTERNATIVES = (*(f"mean {shift:+g} sigma" for shift in SHIFTS), *(f"spread x{spread:g}" for spread in SPREADS))
_SHIFTS = np.array(SHIFTS)
_CURVES = (1.0 - np.array(SPREADS) ** -2) / 2.0
_LOG_SPREADS = np.log(SPREADS)
_SENSITIVITIES = np.abs(np.array(SPREADS) ** 2 - 1.0) / np.sqrt(2.0)
