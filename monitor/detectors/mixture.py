"""Many bets, one threshold: the weighted average of e-Shiryaev-Roberts statistics.

Each bet's `R <- (1 + R) * factor` has mean at most the number of steps while every factor has mean at most one given
what came before. So has any average of them with fixed weights, however dependent the bets are; when the average first
reaches `arl`, at least `arl` steps have passed on average (Shin, Ramdas and Rinaldo 2022, "E-detectors")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.detectors.interface import Floats, Moment

CEILING = 1e6  # a statistic never exceeds this many thresholds, so that it can come down again


class State(msgspec.Struct, frozen=True):
    """Per bet: the statistic, and the running log-wealth with the step it began."""

    sums: list[float] = []
    walks: list[float] = []
    starts: list[int] = []
    steps: int = 0
    moments: dict[int, Moment] = {}  # of the steps that `starts` names


@dataclass(frozen=True, slots=True)
class Reached:
    """The first step at which the average is at the threshold; the bet that has won most for it, and since when."""

    step: int
    statistic: float
    since: Moment
    bet: int
    sums: Floats  # the statistic of each bet


def start(bets: int) -> State:
    """Nothing seen."""
    return State([0.0] * bets, [0.0] * bets, [0] * bets)


def even(bets: int) -> Floats:
    """The same weight for each bet."""
    return np.full(bets, 1.0 / bets)


def statistic(state: State, weights: Floats) -> float:
    """The average that is compared with the threshold."""
    return float(np.dot(weights, state.sums))


def stepped(arl: float, sums: Floats, factors: Floats, made: NDArray[np.bool_] | float = 1.0) -> Floats:
    """One step of each bet's statistic, for arrays of any one shape; `made`: which bets were made."""
    return np.minimum((sums + made) * factors, CEILING * arl)


def advance(
    arl: float, weights: Floats, state: State, gains: Floats, moments: Sequence[Moment]
) -> tuple[State, Reached | None]:
    """Takes log factors, shape (steps, bets), in order; NaN: no bet was made, which is no step. The weights add up to
    one."""
    if not len(gains):
        return state, None
    sums, walks = np.array(state.sums), np.array(state.walks)
    starts = np.array(state.starts, dtype=np.int64)
    known = {**state.moments, **{state.steps + k: moment for k, moment in enumerate(moments)}}
    made = ~np.isnan(gains)
    logs = np.where(made, gains, 0.0)
    factors = np.exp(logs)
    whole = bool(made.all())
    reached: Reached | None = None
    already = float(weights @ sums) >= arl
    for k, row in enumerate(logs):
        sums = stepped(arl, sums, factors[k], 1.0 if whole else made[k])
        begun = walks <= 0.0
        starts[begun if whole else begun & made[k]] = state.steps + k
        walks = np.maximum(walks, 0.0) + row
        now = float(weights @ sums)
        if now >= arl and not already and reached is None:
            bet = int((weights * sums).argmax())
            reached = Reached(k, now, known.get(int(starts[bet]), ("", 0)), bet, sums.copy())
        already = now >= arl
    kept = {step: known[step] for step in np.unique(starts).tolist() if step in known}
    return State(sums.tolist(), walks.tolist(), starts.tolist(), state.steps + len(gains), kept), reached
