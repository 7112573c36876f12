"""Estimates of the losses of neighbouring replies that come later than the replies: a judge model's scores.

The audited replies of a group are a random part of those that the judge is asked about, for both are chosen by one hash
(`monitor.selection.audit`). So the mean estimate of the audited ones differs from that of all by chance alone, whatever
the judge says and of whichever replies it says nothing; that is the gap which `monitor.detectors.powered` uses. Where
the estimate of an audited reply is missing there is no gap, and the group is bet on without one.

>>> state = formed(LateEstimates(), 7, {1: -1.0, 2: 0.5, 3: -1.0}, [1])
>>> gap(state, 7, [1]), round(gap(arrived(state, {1: 0.8, 3: 0.2}), 7, [1]), 2)
(0.0, 0.3)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

UNKNOWN = -1.0  # an estimate


class GroupEstimates(msgspec.Struct, frozen=True, array_like=True):
    """The estimates of a group so far. `mine`: those of the replies whose labels are awaited, which count too."""

    count: int = 0
    total: float = 0.0
    mine: dict[int, float] = {}


class LateEstimates(msgspec.Struct, frozen=True):
    """The groups whose labels are awaited, by their step; and the group of each reply that has no estimate yet."""

    groups: dict[int, GroupEstimates] = {}
    awaited: dict[int, int] = {}


def formed(state: LateEstimates, step: int, replies: Mapping[int, float], mine: Collection[int]) -> LateEstimates:
    """Return the state with one more group. `replies`: the estimate of each, `UNKNOWN` where it has not come; `mine`:
    those whose labels are awaited."""
    fresh = LateEstimates(
        state.groups | {step: GroupEstimates(mine=dict.fromkeys(mine, UNKNOWN))},
        state.awaited | dict.fromkeys(replies, step),
    )
    return arrived(fresh, {one: estimate for one, estimate in replies.items() if estimate != UNKNOWN})


def arrived(state: LateEstimates, estimates: Mapping[int, float]) -> LateEstimates:
    """Return the state with estimates of replies, by their hash; the first one of each counts."""
    known = {one: estimate for one, estimate in estimates.items() if one in state.awaited}
    if not known:
        return state
    groups = dict(state.groups)
    for one, estimate in known.items():
        step = state.awaited[one]
        group = groups[step]
        mine = group.mine | {one: estimate} if one in group.mine else group.mine
        groups[step] = GroupEstimates(group.count + 1, group.total + estimate, mine)
    return LateEstimates(groups, {one: step for one, step in state.awaited.items() if one not in known})


def mine(state: LateEstimates, step: int, replies: Sequence[int]) -> list[float]:
    """Return the estimates of these replies of a group; none where one is missing."""
    group = state.groups.get(step, GroupEstimates())
    found = [group.mine.get(one, UNKNOWN) for one in replies]
    return [] if UNKNOWN in found else found


def gap(state: LateEstimates, step: int, replies: Sequence[int]) -> float:
    """Return the mean estimate of these replies of a group less that of the group; 0 where one is missing."""
    found = mine(state, step, replies)
    if not found:
        return 0.0
    group = state.groups[step]
    return sum(found) / len(found) - group.total / group.count


def within(state: LateEstimates, steps: Collection[int]) -> LateEstimates:
    """Return the state with these groups alone: of the others no label is awaited any more."""
    if not state.groups.keys() - steps:
        return state
    groups = {step: each for step, each in state.groups.items() if step in steps}
    return LateEstimates(groups, {one: step for one, step in state.awaited.items() if step in groups})
