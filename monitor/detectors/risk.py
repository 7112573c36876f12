"""Labelled harm: is the risk above its limit, and since when? A betting martingale for bounded losses.

The limit is the upper confidence bound of the baseline's mean loss (it too was estimated from finitely many labels)
plus a tolerance. Against `risk <= limit` an e-Shiryaev-Roberts statistic bets on several higher rates. Each bet
`1 + stake * (loss - limit)` has mean at most one while the risk is within the limit, for any loss in [0, 1], so at
least `arl` labels pass between false alarms on average (Shin, Ramdas and Rinaldo 2022), late labels included. They may
depend on each other.

How much is bet decides how soon harm is found, never whether the promise holds. Against losses of 0 and 1 the stakes
are likelihood ratios. Losses that lie closer together (`graded`) tell a rise from chance sooner than such bets dare to
believe: there stakes go in even ratios from the most timid of these to almost all that can be bet without ruin.

>>> moments = [(str(i), i) for i in range(60)]
>>> detector = Risk(rate=0.1, arl=10_000)
>>> _, harm = detector.update(detector.start(), [0.0] * 30 + [1.0] * 30, moments)
>>> harm.since[0], harm.step, harm.what
('30', 35, 'risk above 0.1')
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np

from monitor.detectors.episode import CAP, FLOOR, QUIET, Episode, Over
from monitor.detectors.interface import Change, Floats, Moment
from monitor.detectors.mixture import CEILING

LOOK = 64  # losses, after which it is looked whether anything still changes
LEAST_ROOM = 0.2  # above a limit: with less, even losses of nothing but 1 take a hundred labels to prove harm
LEAST_GRADED_ROOM = 0.1  # likewise, where almost all is bet
BOLDEST = 0.9  # of the most that can be bet without ruin, against graded losses
EXCESSES = (0.05, 0.1, 0.2, 0.4, 0.6)  # above the limit: the rates the statistic bets on


Most = Callable[[int, float, Callable[[], int]], float]


class Walk(msgspec.Struct, frozen=True):
    """One bet: its statistic, its running log-wealth since it was last broke, and where that run began."""

    total: float = 0.0
    wealth: float = 0.0
    since: Moment = ("", 0)
    count: int = 0  # observations before the run
    losses: float = 0.0  # the sum of their losses


class State(msgspec.Struct, frozen=True):
    """All bets, and what they have seen."""

    walks: tuple[Walk, ...] = tuple(Walk() for _ in EXCESSES)
    count: int = 0
    losses: float = 0.0
    episode: Episode = Episode()


@dataclass(frozen=True, slots=True)
class ProvenHarm(Change):
    """The evidence is complete: since when, and what was seen since then."""

    count: int = 0  # observations since the onset
    losses: float = 0.0  # the sum of their losses
    before: int = 0  # observations before the onset


@dataclass(frozen=True, slots=True)
class Risk:
    """`rate`: the mean loss that is still accepted. `arl`: losses between false alarms, at least. `excesses`: how far
    above `rate` the rates are that it bets on. `inflation`: how many times more a sum of losses varies than one of
    independent ones (`monitor.detectors.blocks.inflation`): as many times less is bet. `graded`: losses between 0 and 1
    come too."""

    rate: float
    arl: float
    excesses: tuple[float, ...] = EXCESSES
    inflation: float = 1.0
    graded: bool = False

    @property
    def stakes(self) -> list[float]:
        """Return what each bet stakes on a loss above the limit."""
        found = [stake(self.rate, excess) for excess in self.excesses]
        if self.graded:
            boldest = max(BOLDEST / self.rate, found[0])
            found = np.geomspace(found[0], boldest, len(found)).tolist()
        return [each / self.inflation for each in found]

    def start(self) -> State:
        """Return the state in which nothing was seen."""
        return State(tuple(Walk() for _ in self.excesses))

    def update(
        self, state: State, values: Sequence[float], moments: Sequence[Moment], weights: Sequence[int] = ()
    ) -> tuple[State, ProvenHarm | None]:
        """Take losses in [0, 1] in order; NaN: not judged. `weights`: of how many observations each is the mean, 1
        where it is not given; that is counted, and changes no statistic."""
        state, transitions = self.follow(state, values, moments, weights=weights)
        return state, next((each for each in transitions if isinstance(each, ProvenHarm)), None)

    def follow(
        self,
        state: State,
        values: Sequence[float],
        moments: Sequence[Moment],
        clear_after: int = 0,
        weights: Sequence[int] = (),
    ) -> tuple[State, list[ProvenHarm | Over]]:
        """Take losses in the same way. Return each harm and each end of one: after `clear_after` quiet losses; 0:
        never."""
        walking = self.walking(state, weights)
        transitions = list(self.walk(walking, values, moments, clear_after))
        return walking.state(moments), transitions

    def walking(self, state: State, weights: Sequence[int] = ()) -> Walking:
        """Return the state as something that `walk` moves on."""
        return Walking(self, state, weights)

    def walk(
        self,
        walking: Walking,
        values: Sequence[float],
        moments: Sequence[Moment],
        clear_after: int = 0,
        most: Most | None = None,
    ) -> Iterator[ProvenHarm | Over]:
        """Yield each harm and each end of one as it comes. `most`: what the evidence is at most while no alarm is open,
        for a loss at a place, where so many observations came before what speaks for harm."""
        rested = 0
        for k, loss in enumerate(values):
            if k < rested or math.isnan(loss):
                continue
            if loss == 0.0 and k % LOOK == 0 and walking.still(k):
                rested = next((i for i in range(k, len(values)) if values[i] != 0.0), len(values))
                walking.rest(k, rested)
                continue
            evidence = walking.take(k, loss, most(k, loss, walking.began_after) if most else math.inf)
            if walking.open:
                if walking.over(evidence, clear_after):
                    yield Over(k)
            elif evidence >= 1.0:
                yield self._harm(k, walking.state(moments))
                walking.open = True

    def evidence(self, state: State) -> float:
        """Return the average of the bets' statistics over the threshold."""
        return statistic(state) / self.arl

    def _harm(self, step: int, state: State) -> ProvenHarm:
        walk = max(state.walks, key=lambda walk: walk.total)
        return ProvenHarm(
            step,
            statistic(state),
            walk.since,
            f"risk above {self.rate:g}",
            count=state.count - walk.count,
            losses=state.losses - walk.losses,
            before=walk.count,
        )


class Walking:
    """A state while it goes on. Its steps are the monitor's most frequent ones, so they are written for speed: lists
    rather than objects, factors and logarithms once for each loss that comes."""

    def __init__(self, detector: Risk, state: State, weights: Sequence[int]) -> None:
        self.detector, self.weights = detector, weights
        self.stakes = detector.stakes
        self.totals = [walk.total for walk in state.walks]
        self.wealths = [walk.wealth for walk in state.walks]
        self.began: list[tuple[int | Moment, int, float]] = [(w.since, w.count, w.losses) for w in state.walks]
        self.count, self.losses = state.count, state.losses
        self.open, self.quiet = state.episode.open, state.episode.quiet
        self.steps: dict[float, list[tuple[int, float, float]]] = {}

    def take(self, k: int, loss: float, ceiling: float = math.inf) -> float:
        """Take one more loss. Return the evidence after it."""
        steps = self.steps.get(loss)
        if steps is None:
            steps = self.steps[loss] = self._steps(k, loss)
        totals, wealths, highest = self.totals, self.wealths, CEILING * self.detector.arl
        floor, added = (FLOOR * self.detector.arl, 0.0) if self.open else (0.0, 1.0)
        for i, factor, gain in steps:
            total = totals[i] + added
            total = (total if total > floor else floor) * factor
            totals[i] = total if total < highest else highest
            wealth = wealths[i]
            if wealth <= 0.0:
                self.began[i] = k, self.count, self.losses
                wealths[i] = gain
            else:
                wealths[i] = wealth + gain
        weight = self.weights[k] if self.weights else 1
        self.count += weight
        self.losses += loss * weight
        evidence = sum(totals) / len(totals) / self.detector.arl
        most = CAP if self.open else ceiling
        if evidence > most:
            self.totals = [total * (most / evidence) for total in totals]
            return most
        return evidence

    def began_after(self) -> int:
        """Return how many observations came before the strongest evidence of harm; all of them where nothing does."""
        best = max(range(len(self.totals)), key=self.totals.__getitem__)
        return self.began[best][1] if self.wealths[best] > 0.0 else self.count

    def over(self, evidence: float, clear_after: int) -> bool:
        """Check whether an open alarm has been quiet for long enough, with this evidence; if so it starts over."""
        self.quiet = self.quiet + 1 if evidence < QUIET else 0
        if not clear_after or self.quiet < clear_after:
            return False
        self.totals, self.wealths = [0.0] * len(self.totals), [0.0] * len(self.wealths)
        self.open, self.quiet = False, 0
        return True

    def still(self, k: int) -> bool:
        """Check whether losses of 0 change no statistic any more: each is as low as it gets, to the last bit."""
        if self.open:
            return False
        steps = self.steps.get(0.0) or self._steps(k, 0.0)
        lowest = all((self.totals[i] + 1.0) * factor == self.totals[i] for i, factor, _ in steps)
        return lowest and max(self.wealths) <= 0.0

    def rest(self, first: int, end: int) -> None:
        """Take the losses from `first` to before `end`, all of them 0, in a state that is `still`."""
        self.wealths = [gain for _, _, gain in self._steps(first, 0.0)]
        weights = self.weights[first:end] if self.weights else [1] * (end - first)
        self.count += sum(weights)
        self.began = [(end - 1, self.count - weights[-1], self.losses)] * len(self.began)

    def state(self, moments: Sequence[Moment]) -> State:
        """Return the state as it is now."""
        starts = [(moments[since] if isinstance(since, int) else since, n, lost) for since, n, lost in self.began]
        walks = zip(self.totals, self.wealths, starts, strict=True)
        bets = tuple(Walk(total, wealth, *start) for total, wealth, start in walks)
        return State(bets, self.count, self.losses, Episode(self.open, self.quiet))

    def _steps(self, k: int, loss: float) -> list[tuple[int, float, float]]:
        """Of each bet: its place, its factor, and the factor's logarithm."""
        if not 0.0 <= loss <= 1.0:
            raise ValueError(f"loss of step {k} is {loss}, expected 0 to 1, or NaN: not judged")
        factors = [1.0 + each * (loss - self.detector.rate) for each in self.stakes]
        return [(i, factor, math.log(factor)) for i, factor in enumerate(factors)]


def restarted(state: State) -> State:
    """Return the state with its bets as at the start; what was counted stays."""
    return State(tuple(Walk() for _ in state.walks), state.count, state.losses)


def leaves_room(limit: float, *, graded: bool = False) -> bool:
    """Check whether a limit leaves room for harm above it."""
    return limit <= 1.0 - (LEAST_GRADED_ROOM if graded else LEAST_ROOM)


def statistic(state: State) -> float:
    """Return the average that is compared with `Risk.arl`."""
    return sum(walk.total for walk in state.walks) / len(state.walks)


def stake(limit: float, excess: float) -> float:
    """Return what to bet against `limit` when the rate is `excess` above it: the likelihood ratio of binary losses."""
    rate = min(limit + excess, (1.0 + limit) / 2.0) if limit + excess >= 1.0 else limit + excess
    return (rate - limit) / (limit * (1.0 - limit))


@lru_cache(maxsize=65_536)  # asked for each version with each batch; 16 MiB at most
def upper_bound(errors: int, labels: int, confidence: float) -> float:
    """Return the bound of Clopper and Pearson: the error rate that `errors` or fewer of `labels` exclude at
    `confidence`, one-sided.

    >>> round(upper_bound(0, 30, 0.95), 3)
    0.095
    """
    if errors >= labels:
        return 1.0
    counts = np.arange(1, errors + 1, dtype=np.float64)
    ways = np.concatenate(([0.0], np.cumsum(np.log((labels - counts + 1.0) / counts))))  # log of "labels over k"
    low, high = errors / labels, 1.0
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _at_most(ways, labels, middle) > 1.0 - confidence else (low, middle)
    return high


def _at_most(ways: Floats, labels: int, rate: float) -> float:
    """Return P(X < len(ways)) for a binomial X."""
    if not 0.0 < rate < 1.0:
        return float(rate <= 0.0)
    errors = np.arange(len(ways), dtype=np.float64)
    return float(np.exp(ways + errors * math.log(rate) + (labels - errors) * math.log1p(-rate)).sum())
