"""Did the mixture of categories change: labels, finish reasons, languages?

Two families of bets on every category: that it comes more often than the reference allows, and more seldom. What the
reference allows are the Clopper-Pearson bounds of its share, all of them together at `confidence`: where they hold,
each bet `1 + stake * (indicator - bound)` has mean at most one, however the events depend on each other beyond that,
so at least `arl` steps pass on average between false alarms (`monitor.detectors.mixture`). A category that the
reference lacks is one of its own. A conformal test of the kind "how rare is this" (Vovk, Gammerman and Shafer 2005)
would miss two common categories that trade places; these bets are on each of them.

>>> detector = learned({"refund": 900, "late": 100}, arl=10_000)
>>> seen = ["refund"] * 100 + ["late", "refund"] * 40
>>> _, change = detector.update(detector.start(), seen, [(str(k), k) for k in range(180)])
>>> change.since[0], change.step, change.what
('100', 122, 'late comes more often')
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.detectors import mixture
from monitor.detectors.blocks import TOLERATED
from monitor.detectors.interface import Change, Floats, Moment
from monitor.detectors.mixture import Reached, State
from monitor.detectors.risk import stake, upper_bound

OTHER = ""  # what the reference lacks
FACTORS = (1.6, 4.0)  # of a bound: the shares that are betted on
EXCESSES = (0.05, 0.25)  # above it: for what is rare
BETS = len(FACTORS) + len(EXCESSES)
MOST = 24  # categories watched by name; the rest of them are OTHER


@dataclass(frozen=True, slots=True)
class Categories:
    """`arl`: steps between false alarms, at least. `names`: the last one is OTHER. `low`, `high`: bounds of each
    one's share. `inflation`: how many times more sums of them vary than those of independent ones
    (`monitor.detectors.blocks.inflation`): as many times less is bet."""

    arl: float
    names: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    inflation: float = 1.0
    stakes: Floats = field(init=False, repr=False, compare=False)  # on each bet, shape (limits, bets)

    def __post_init__(self) -> None:
        stakes = _stakes(self._limits()) / self.inflation
        if self.inflation > TOLERATED:  # a category that comes in runs must not win a fortune in the longest of them
            stakes = np.minimum(stakes, 1.0 / (self.inflation - 1.0))
        object.__setattr__(self, "stakes", stakes)

    @property
    def weights(self) -> Floats:
        """Return the weights of the bets: alike, but for those that no share could win."""
        made = (_stakes(self._limits()) > 0.0).reshape(-1)
        weights: Floats = made / made.sum()
        return weights

    def start(self) -> State:
        """Return the state in which nothing was seen."""
        return mixture.start(len(self.weights))

    def update(
        self, state: State, values: Sequence[str | None], moments: Sequence[Moment], length: int = 1
    ) -> tuple[State, Change | None]:
        """Take categories in order; None, or an empty one: not known. Of events that depend on each other, so many in a
        row are one step, with one moment: the bets are on each category's share among them, whose mean is that of an
        event."""
        state, transitions = mixture.advance(self.arl, self.weights, state, self.gains(values, length), moments)
        found = mixture.first(transitions)
        return state, self.change(found) if found else None

    def gains(self, values: Sequence[str | None], length: int = 1) -> Floats:
        """Return log factors of the bets, shape (steps, bets); NaN where nothing is known of a step."""
        place = {name: i for i, name in enumerate(self.names)}
        places = np.array([place.get(value, len(place) - 1) if value else -1 for value in values], dtype=np.int64)
        if length == 1:  # each category's gains are always the same
            of_each, unknown = self._logs(np.eye(len(self.names))), np.full((1, len(self.weights)), np.nan)
            gains: Floats = np.concatenate((of_each, unknown))[places]
            return gains
        hits = (places[:, None] == np.arange(len(self.names))).reshape(-1, length, len(self.names)).sum(axis=1)
        known = hits.sum(axis=1, keepdims=True)
        return self._logs(hits / np.where(known, known, np.nan))

    def _logs(self, shares: Floats) -> Floats:
        """Return log factors of the bets, where the categories have these shares."""
        losses = np.concatenate((shares, 1.0 - shares), axis=1)
        factors = 1.0 + self.stakes[None] * (losses - np.array(self._limits()))[..., None]
        logs: Floats = np.log(factors).reshape(len(shares), 2 * len(self.names) * BETS)
        return logs

    def change(self, found: Reached) -> Change:
        """Describe the change for people: the category that moved most, and how."""
        side, bet = divmod(found.bet, len(self.names) * BETS)
        name = self.names[bet // BETS] or "what the reference lacks"
        what = f"{name} comes more {'seldom' if side else 'often'}"
        each = tuple(found.sums.reshape(2, len(self.names), BETS).mean(axis=(0, 2)).tolist())
        return Change(found.step, found.statistic, found.since, what, bet // BETS, each)

    def evidence(self, state: State) -> float:
        """Return the statistic over the threshold."""
        return mixture.statistic(state, self.weights) / self.arl

    def _limits(self) -> tuple[float, ...]:
        """Return what a category's share, and then what its complement's, is at most."""
        return (*self.high, *(round(1.0 - low, 12) for low in self.low))


def learned(
    counts: Mapping[str, int], *, arl: float, confidence: float = 0.95, block: int = 1, inflation: float = 1.0
) -> Categories:
    """Return the detector that follows from how often each category came in a reference, where `block` events count for
    one because they depend on each other, and `inflation` is the dependence that remains. Raises ValueError where
    nothing came."""
    if sum(counts.values()) < 1 or min(counts.values()) < 0:
        raise ValueError(f"counts are {dict(counts)}, expected at least one event and none below 0")
    total = max(1, sum(counts.values()) // block)
    ordered = sorted((name for name in counts if name != OTHER), key=lambda name: (-counts[name], name))
    names = (*ordered[:MOST], OTHER)
    seen = [counts[name] for name in names[:-1]]
    seen = [count // block for count in (*seen, sum(counts.values()) - sum(seen))]
    each = 1.0 - (1.0 - confidence) / (2 * len(names))
    # rounded: of two categories one comes as much more often as the other more seldom, to the last bit
    high = tuple(round(upper_bound(count, total, each), 12) for count in seen)
    low = tuple(round(1.0 - upper_bound(total - count, total, each), 12) for count in seen)
    return Categories(arl, names, low, high, inflation)


def _stakes(limits: tuple[float, ...]) -> Floats:
    """Shape (limits, bets): what to bet against each; nothing where no rate could be above it."""
    return np.array([[_stake(limit, rate) for rate in _rates(limit)] for limit in limits])


def _rates(limit: float) -> list[float]:
    return [*(limit * factor for factor in FACTORS), *(limit + excess for excess in EXCESSES)]


def _stake(limit: float, rate: float) -> float:
    return stake(limit, rate - limit) if 0.0 < limit < 1.0 else 0.0
