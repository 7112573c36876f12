"""The fairness audit: how well each group is served, how far from the others, and what is not known. Pure.

Rates are means of scores from 0 to 1 with the bettor's confidence interval (`monitor.detectors.paired`): rows are asked
until they tell, so an interval for a fixed number of rows would be wrong. Two rates of different rows are compared by
Newcombe's method (1998): the distances of each rate's bounds, squared and added. A version's change within a group, and
a swapped term, are paired: the same rows, the interval of their differences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from monitor.detectors.paired import bounds, counted, mean
from retrain.evaluation.checks import Scores
from retrain.evaluation.fairness.counterfactual import GroupSwaps
from retrain.evaluation.groups import members

Finding = Literal["even", "behind", "ahead", "unknown"]
LEVEL = 0.05  # chance that one interval misses; of all of them more often does one


class RateInterval(msgspec.Struct, frozen=True):
    """A mean or a difference of means, and the interval around it."""

    value: float
    low: float
    high: float


class GroupRates(msgspec.Struct, frozen=True, kw_only=True):
    """How a group is served. Rows that say the same are one."""

    name: str  # "tag=value"
    rows: int
    missing: int  # audited rows of it without a label
    candidate: RateInterval
    champion: RateInterval
    change: RateInterval  # candidate minus champion, on the same rows
    gap: RateInterval | None  # the candidate's rate minus that of the tag's other groups; None where there are none
    finding: Finding  # of the gap


class SwapRates(msgspec.Struct, frozen=True, kw_only=True):
    """What it changes that a request names this group: the score minus that with another group's term."""

    name: str
    rows: int
    candidate: RateInterval
    champion: RateInterval
    changed_candidate: float  # share of the answers that are others then, the terms aside
    changed_champion: float
    finding: Finding  # of the candidate


class FairnessAudit(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of groups, and what is not."""

    margin: float  # a gap that is shown to be smaller is called even
    level: float = LEVEL  # of each interval
    groups: list[GroupRates] = []
    swaps: list[SwapRates] = []
    unknown: list[str] = []  # sentences


def audited(
    groups: Mapping[str, Scores],
    missing: Mapping[str, int],
    swaps: Sequence[GroupSwaps],
    margin: float,
    untagged: int = 0,
) -> FairnessAudit:
    """Return the audit of the groups' scores, each a pair of candidate's and champion's. `untagged`: rows of no group.

    >>> even = {"language=de": [(1.0, 1.0)] * 200, "language=en": [(1.0, 1.0)] * 200}
    >>> [each.finding for each in audited(even, {}, [], 0.1).groups]
    ['even', 'even']
    >>> audited({"language=de": [(1.0, 1.0)] * 5}, {}, [], 0.1).unknown[0]
    'language has one group alone: there is nothing to compare it with'
    """
    found = [_group(name, groups, missing.get(name, 0), margin) for name in sorted(groups)]
    swapped = [_swap(each, margin) for each in swaps if each.rows]
    return FairnessAudit(
        margin=margin,
        groups=found,
        swaps=swapped,
        unknown=_unknown(found, swapped, [each.name for each in swaps if not each.rows], untagged),
    )


def rate(scores: Sequence[float], level: float = LEVEL) -> RateInterval:
    """Return the mean of scores from 0 to 1 with its confidence interval, which holds however long one looked.

    >>> rate([1.0] * 100).low > 0.9, rate([])
    (True, RateInterval(value=0.0, low=0.0, high=1.0))
    """
    seen = counted(2.0 * score - 1.0 for score in scores)
    low, high = bounds(seen.times, level) if scores else (-1.0, 1.0)
    value = math.fsum(scores) / len(scores) if scores else 0.0
    return RateInterval(round(value, 4), *(round(min(1.0, max(0.0, (each + 1) / 2)), 4) for each in (low, high)))


def difference(one: RateInterval, other: RateInterval) -> RateInterval:
    """Return the difference of two rates of different rows, by Newcombe's method."""
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return RateInterval(round(value, 4), round(max(-1.0, value - below), 4), round(min(1.0, value + above), 4))


def paired(pairs: Scores, level: float = LEVEL) -> RateInterval:
    """Return the mean difference of pairs, with its confidence interval."""
    seen = counted(mine - theirs for mine, theirs in pairs)
    low, high = bounds(seen.times, level) if pairs else (-1.0, 1.0)
    return RateInterval(round(mean(seen), 4), round(low, 4), round(high, 4))


def finding(gap: RateInterval, margin: float) -> Finding:
    """Return what a gap's interval says.

    >>> [finding(RateInterval(v, v - 0.05, v + 0.05), 0.1) for v in (-0.2, 0.0, 0.2)]
    ['behind', 'even', 'ahead']
    >>> finding(RateInterval(0.0, -0.3, 0.3), 0.1)
    'unknown'
    """
    if -margin < gap.low and gap.high < margin:
        return "even"
    if gap.high < 0:
        return "behind"
    return "ahead" if gap.low > 0 else "unknown"


def _group(name: str, groups: Mapping[str, Scores], missing: int, margin: float) -> GroupRates:
    tag, own = name.partition("=")[0], groups[name]
    others = [
        pair for each, scores in groups.items() if each != name and each.partition("=")[0] == tag for pair in scores
    ]
    mine = rate([score for score, _ in own])
    gap = difference(mine, rate([score for score, _ in others])) if others else None
    return GroupRates(
        name=name,
        rows=len(own),
        missing=missing,
        candidate=mine,
        champion=rate([score for _, score in own]),
        change=paired(own),
        gap=gap,
        finding="unknown" if gap is None else finding(gap, margin),
    )


def _swap(swaps: GroupSwaps, margin: float) -> SwapRates:
    mine = paired(swaps.candidate)
    return SwapRates(
        name=swaps.name,
        rows=swaps.rows,
        candidate=mine,
        champion=paired(swaps.champion),
        changed_candidate=round(swaps.changed_candidate / swaps.rows, 4),
        changed_champion=round(swaps.changed_champion / swaps.rows, 4),
        finding=finding(mine, margin),
    )


def _unknown(
    groups: Sequence[GroupRates], swaps: Sequence[SwapRates], unnamed: Sequence[str], untagged: int
) -> list[str]:
    tags = Counter(tag for tag, _ in members([each.name for each in groups]))
    found = [f"{tag} has one group alone: there is nothing to compare it with" for tag in tags if tags[tag] == 1]
    open_groups = [each for each in groups if each.gap is not None and each.finding == "unknown"]
    found += [
        f"{each.name}: {each.rows} rows do not tell whether it is served as the others are" for each in open_groups
    ]
    found += [
        f"{each.name}: {each.rows} rows do not tell whether its terms change how good answers are"
        for each in swaps
        if each.finding == "unknown"
    ]
    found += [f"{name}: no request that was asked names it alone" for name in unnamed]
    found += [f"{each.name}: {each.missing} audited replies have no label" for each in groups if each.missing]
    if untagged:
        found.append(f"{untagged} rows name no group at all")
    if not groups:
        found.append("requests carry no tags, so no group is known: a client sends them with its requests")
    if len(tags) > 1:
        found.append("people who belong to several groups at once were not looked at by themselves")
    return found
