"""Many bets, one threshold: the average of e-Shiryaev-Roberts statistics.

Each bet's `R <- (1 + R) * factor` has mean at most the number of steps while every factor has mean at most one given
what came before. So has any average of them, however dependent the bets are; when the average first reaches `arl`, at
least `arl` steps have passed on average (Shin, Ramdas and Rinaldo 2022, "E-detectors")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.detectors.interface import Floats, Moment

CEILING = 1e6  # a statistic never exceeds this many thresholds, so that it can come down again


class State(msgspec.Struct, frozen=True):
    """Per column and bet: the statistic, and the running log-wealth with the step it began."""

    sums: list[list[float]]
    walks: list[list[float]]
    starts: list[list[int]]
    steps: int = 0
    moments: dict[int, Moment] = {}  # of the steps that `starts` names


@dataclass(frozen=True, slots=True)
class Reached:
    """The first step at which the average is at the threshold; the bet that has won most, and since when."""

    step: int
    statistic: float
    since: Moment
    column: int
    bet: int
    each: tuple[float, ...]  # the statistic of each column


def start(columns: int, bets: int) -> State:
    """Nothing seen."""
    shape = (columns, bets)
    return State(np.zeros(shape).tolist(), np.zeros(shape).tolist(), np.zeros(shape, np.int64).tolist())


def statistic(state: State) -> float:
    """The average that is compared with the threshold."""
    return float(np.mean(state.sums)) if state.sums else 0.0


def stepped(arl: float, sums: Floats, factors: Floats, made: NDArray[np.bool_] | float = 1.0) -> Floats:
    """One step of each bet's statistic, for arrays of any one shape; `made`: which bets were made."""
    return np.minimum((sums + made) * factors, CEILING * arl)


def advance(arl: float, state: State, gains: Floats, moments: Sequence[Moment]) -> tuple[State, Reached | None]:
    """Takes log factors, shape (steps, columns, bets), in order; NaN: no bet was made, which is no step."""
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
    already = float(sums.mean()) >= arl
    for k, row in enumerate(logs):
        sums = stepped(arl, sums, factors[k], 1.0 if whole else made[k])
        begun = walks <= 0.0
        starts[begun if whole else begun & made[k]] = state.steps + k
        walks = np.maximum(walks, 0.0) + row
        there = float(sums.mean()) >= arl
        if there and not already and reached is None:
            reached = _reached(k, sums, starts, known)
        already = there
    kept = {step: known[step] for step in np.unique(starts).tolist() if step in known}
    return State(sums.tolist(), walks.tolist(), starts.tolist(), state.steps + len(gains), kept), reached


def _reached(step: int, sums: Floats, starts: NDArray[np.int64], moments: dict[int, Moment]) -> Reached:
    column, bet = (int(i) for i in np.unravel_index(int(sums.argmax()), sums.shape))
    since = moments.get(int(starts[column, bet]), ("", 0))
    return Reached(step, float(sums.mean()), since, column, bet, tuple(sums.mean(axis=1).tolist()))
