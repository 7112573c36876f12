"""Outcomes of one group paired with those of the others at the same time, so that what happens to all cancels out.

Each outcome of the group is set against the latest one of the others that no pair of the group holds yet; where there
is none, it waits for the next. No outcome is in two pairs of a group: the pairs' differences are as independent as
the outcomes are, and their mean is the gap between the group and the rest.

>>> _, pairs = pair(Pairing(), [("de", 1.0), ("", 0.0), ("", 0.0), ("de", 1.0)])
>>> pairs
{'de': [(1, 1.0), (3, 1.0)]}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

import msgspec

KEPT = 8  # outcomes kept of all groups together, and of each group while they wait


class PairedGroup(msgspec.Struct, frozen=True, array_like=True):
    """One group: the outcomes that wait for the others', oldest first, and the last of the others' that is taken."""

    waiting: tuple[float, ...] = ()
    taken: int = -1


class Pairing(msgspec.Struct, frozen=True):
    """What is remembered between calls; bounded."""

    count: int = 0  # outcomes taken
    # group and outcome of the last ones
    recent: tuple[tuple[str, float], ...] = msgspec.field(name="lately", default=())
    groups: dict[str, PairedGroup] = {}


def pair(state: Pairing, outcomes: Sequence[tuple[str, float]]) -> tuple[Pairing, dict[str, list[tuple[int, float]]]]:
    """Take (group, outcome) in order; those of the group without a name are only others'. Return for each group its new
    pairs: which of the outcomes completed it, and the difference, the group's outcome less the others'."""
    taken = {name: each.taken for name, each in state.groups.items()}
    waiting = {name: deque(each.waiting, KEPT) for name, each in state.groups.items()}
    recent, pairs = deque(state.recent, KEPT), dict[str, list[tuple[int, float]]]()
    alike, latest = _alike(state.recent), state.recent[-1][0] if state.recent else None
    for place, (group, outcome) in enumerate(outcomes, state.count):
        for name, mine in waiting.items():
            if mine and name != group:
                pairs.setdefault(name, []).append((place - state.count, mine.pop() - outcome))
                taken[name] = place
        if group:
            back = alike + 1 if group == latest else 1  # steps to the latest outcome of others
            mine = waiting.setdefault(group, deque(maxlen=KEPT))
            if place - back <= taken.setdefault(group, -1) or back > len(recent):
                mine.append(outcome)
            else:
                pairs.setdefault(group, []).append((place - state.count, outcome - recent[-back][1]))
                taken[group] = place - back
        alike, latest = alike + 1 if group == latest else 1, group
        recent.append((group, outcome))
    groups = {name: PairedGroup(tuple(waiting[name]), last) for name, last in taken.items()}
    return Pairing(state.count + len(outcomes), tuple(recent), groups), pairs


def _alike(recent: Sequence[tuple[str, float]]) -> int:
    """Return how many of the last ones are of one group."""
    return sum(1 for _ in takewhile(lambda each: each[0] == recent[-1][0], reversed(recent)))
