"""Outcomes of one group beside those of the others at the same time, so that what happens to all cancels out.

Each outcome of the group is set against the latest one of the others that no pair of the group holds yet; where there
is none, it waits for the next. No outcome is in two pairs of a group: the pairs' differences are as independent as
the outcomes are, and their mean is the gap between the group and the rest.

>>> _, pairs = pair(Pairing(), [("de", 1.0), ("", 0.0), ("", 0.0), ("de", 1.0)])
>>> pairs
{'de': [(1, 1.0), (3, 1.0)]}
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

LATELY = 8  # outcomes kept of all groups together, and of each group while they wait


class Stand(msgspec.Struct, frozen=True, array_like=True):
    """One group: the outcomes that wait for the others', oldest first, and the last of the others' that is taken."""

    waiting: tuple[float, ...] = ()
    taken: int = -1


class Pairing(msgspec.Struct, frozen=True):
    """What is remembered between calls; bounded."""

    count: int = 0  # outcomes taken
    lately: tuple[tuple[str, float], ...] = ()  # group and outcome of the last ones
    groups: dict[str, Stand] = {}


def pair(state: Pairing, outcomes: Sequence[tuple[str, float]]) -> tuple[Pairing, dict[str, list[tuple[int, float]]]]:
    """Takes (group, outcome) in order; those of the group without a name are only others'. For each group its new
    pairs: which of the outcomes completed it, and the difference, the group's outcome less the others'."""
    stands = {name: (list(each.waiting), each.taken) for name, each in state.groups.items()}
    lately, pairs = list(state.lately), dict[str, list[tuple[int, float]]]()
    for k, (group, outcome) in enumerate(outcomes):
        place = state.count + k
        for name, (waiting, _) in stands.items():
            if waiting and name != group:
                pairs.setdefault(name, []).append((k, waiting.pop() - outcome))
                stands[name] = waiting, place
        if group:
            waiting, taken = stands.get(group, ([], -1))
            other = _latest(lately, group, place, taken)
            if other is None:
                stands[group] = [*waiting, outcome][-LATELY:], taken
            else:
                pairs.setdefault(group, []).append((k, outcome - lately[other - place][1]))
                stands[group] = waiting, other
        lately = [*lately, (group, outcome)][-LATELY:]
    groups = {name: Stand(tuple(waiting), taken) for name, (waiting, taken) in stands.items()}
    return Pairing(state.count + len(outcomes), tuple(lately), groups), pairs


def _latest(lately: Sequence[tuple[str, float]], group: str, place: int, taken: int) -> int | None:
    """The place of the latest outcome of others after the one taken last."""
    for back in range(1, len(lately) + 1):
        if place - back <= taken:
            return None
        if lately[-back][0] != group:
            return place - back
    return None
