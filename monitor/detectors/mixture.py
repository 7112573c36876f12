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

from monitor.detectors.episode import CAP, FLOOR, QUIET, Episode, Over
from monitor.detectors.interface import Floats, Moment

CEILING = 1e6  # a bet's statistic never exceeds this many thresholds


class State(msgspec.Struct, frozen=True):
    """Per bet: the statistic, and the running log-wealth with the step it began."""

    sums: list[float] = []
    walks: list[float] = []
    starts: list[int] = []
    steps: int = 0
    moments: dict[int, Moment] = {}  # of the steps that `starts` names
    episode: Episode = Episode()


@dataclass(frozen=True, slots=True)
class Reached:
    """The first step at which the average is at the threshold; the bet that has won most for it, and since when."""

    step: int
    statistic: float
    since: Moment
    bet: int
    sums: Floats  # the statistic of each bet


def start(bets: int) -> State:
    """Return the state in which nothing was seen."""
    return State([0.0] * bets, [0.0] * bets, [0] * bets)


def even(bets: int) -> Floats:
    """Return the same weight for each bet."""
    return np.full(bets, 1.0 / bets)


def statistic(state: State, weights: Floats) -> float:
    """Return the average that is compared with the threshold."""
    return float(np.dot(weights, state.sums))


def stepped(arl: float, sums: Floats, factors: Floats, made: NDArray[np.bool_] | float = 1.0) -> Floats:
    """Return one step of each bet's statistic, for arrays of any one shape; `made`: which bets were made."""
    sums = sums + made
    sums *= factors
    return np.minimum(sums, CEILING * arl, sums)


def held(arl: float, weights: Floats, sums: Floats, factors: Floats) -> Floats:
    """Return one step of each bet's statistic while an alarm is open."""
    sums = np.maximum(sums, FLOOR * arl) * factors
    most = float(weights @ sums) / (CAP * arl)
    return sums / most if most > 1.0 else sums


def advance(
    arl: float, weights: Floats, state: State, gains: Floats, moments: Sequence[Moment], clear_after: int = 0
) -> tuple[State, list[Reached | Over]]:
    """Take log factors, shape (steps, bets), in order; NaN: no bet was made, which is no step. The weights add up to
    one. An alarm is over after `clear_after` quiet steps; 0: never."""
    if not len(gains):
        return state, []
    betting = _Betting(arl, weights, state, moments)
    made = ~np.isnan(gains)
    logs = np.where(made, gains, 0.0)
    factors = np.exp(logs)
    whole = bool(made.all())
    transitions: list[Reached | Over] = []
    for k in range(len(logs)):
        transition = betting.take(k, logs[k], factors[k], None if whole else made[k], clear_after)
        transitions += [transition] if transition else []
    return betting.state(len(gains)), transitions


def first(transitions: Sequence[Reached | Over]) -> Reached | None:
    """Return the first time that the threshold was reached."""
    return next((each for each in transitions if isinstance(each, Reached)), None)


class _Betting:
    """A state while it goes on."""

    def __init__(self, arl: float, weights: Floats, state: State, moments: Sequence[Moment]) -> None:
        self.arl, self.weights, self.steps = arl, weights, state.steps
        self.sums, self.walks = np.array(state.sums), np.array(state.walks, dtype=np.float64)
        self.starts = np.array(state.starts, dtype=np.int64)
        self.known = {**state.moments, **{state.steps + k: moment for k, moment in enumerate(moments)}}
        self.open, self.quiet = state.episode.open, state.episode.quiet

    def take(
        self, k: int, logs: Floats, factors: Floats, made: NDArray[np.bool_] | None, clear_after: int
    ) -> Reached | Over | None:
        """Take one more step. `made`: which bets were made, None: all."""
        if self.open:
            self.sums = held(self.arl, self.weights, self.sums, factors)
        else:
            self.sums = stepped(self.arl, self.sums, factors, 1.0 if made is None else made)
        begun = self.walks <= 0.0
        np.putmask(self.starts, begun if made is None else begun & made, self.steps + k)
        np.maximum(self.walks, 0.0, self.walks)  # in place: this is the judge's most frequent step
        self.walks += logs
        now = float(self.weights.dot(self.sums))
        if self.open:
            return self._quiet(k, now, made is None or bool(made.any()), clear_after)
        return self._reached(k, now) if now >= self.arl else None

    def state(self, steps: int) -> State:
        """Return the state as it is now, so many steps on."""
        kept = {step: self.known[step] for step in np.unique(self.starts).tolist() if step in self.known}
        episode = Episode(self.open, self.quiet)
        values = self.sums.tolist(), self.walks.tolist(), self.starts.tolist()
        return State(*values, self.steps + steps, kept, episode)

    def _reached(self, k: int, now: float) -> Reached:
        bet = int((self.weights * self.sums).argmax())
        self.open = True
        return Reached(k, now, self.known.get(int(self.starts[bet]), ("", 0)), bet, self.sums.copy())

    def _quiet(self, k: int, now: float, judged: bool, clear_after: int) -> Over | None:
        self.quiet = self.quiet + judged if now < QUIET * self.arl else 0
        if not clear_after or self.quiet < clear_after:
            return None
        self.sums, self.walks = np.zeros_like(self.sums), np.zeros_like(self.walks)
        self.open, self.quiet = False, 0
        return Over(k)
