"""Audited rows without a label, in a comparison: they count against whatever is claimed.

Why a label is missing is not known, so it may be missing because of the answer. A claim of "better" must hold if the
candidate lost on every such row, one of "worse" if it won on every such row. Where both sides gave the same answer
their scores are equal, whatever the label would be: such a row takes nothing from a claim but a little time.

>>> from monitor.detectors.paired import counted, e_value, mean
>>> seen, none, few = counted([1.0] * 30), MissingPairs(), MissingPairs(same=5, differing=3)
>>> [round(mean(at_worst(seen, missing)), 2) for missing in (none, few)]
[1.0, 0.71]
>>> e_value(at_worst(seen, few)) < e_value(seen) == e_value(at_best(seen, none))
True
"""

from __future__ import annotations

from collections import Counter

import msgspec

from monitor.detectors.paired import Paired, bounds


class MissingPairs(msgspec.Struct, frozen=True):
    """Rows that both sides answered and that have no label. `same`: both gave the same answer."""

    same: int = 0
    differing: int = 0

    @property
    def count(self) -> int:
        """Return all of them."""
        return self.same + self.differing

    def __add__(self, other: MissingPairs) -> MissingPairs:
        return MissingPairs(self.same + other.same, self.differing + other.differing)


def at_worst(state: Paired, missing: MissingPairs) -> Paired:
    """Return the comparison if the candidate lost on each missing row."""
    return _with(state, missing, "-1")


def at_best(state: Paired, missing: MissingPairs) -> Paired:
    """Return the comparison if the candidate won on each missing row."""
    return _with(state, missing, "1")


def interval(state: Paired, missing: MissingPairs, alpha: float) -> tuple[float, float]:
    """Return the bounds of the mean difference, whatever the missing labels would be."""
    return bounds(at_worst(state, missing).times, alpha)[0], bounds(at_best(state, missing).times, alpha)[1]


def _with(state: Paired, missing: MissingPairs, difference: str) -> Paired:
    if not missing.count:
        return state
    more = +Counter({"0": missing.same, difference: missing.differing})
    return msgspec.structs.replace(state, count=state.count + missing.count, times=dict(Counter(state.times) + more))
