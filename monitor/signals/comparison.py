"""The comparison of groups: for each value of a tag, the gap in errors, refusals and slow replies.

The group's outcomes are paired with the others' of the same time (`monitor.signals.pairing`): a drift that all feel
cancels. The differences are in [-1, 1]. Against `mean gap <= tolerated` a detector of `monitor.detectors.risk` bets on
`(difference + 1) / 2` with the threshold `arl`. One budget for all groups and measures: at least `arl` pairs, all
counted, pass on average between false alarms, whatever the groups have to do with each other (each statistic's mean is
at most the number of its own pairs; so is the sum's, and it is at least `arl` where the first of them fires). Within n
pairs the chance of one is at most n / arl. Fewer than `least` pairs raise nothing. That a group asks harder
questions is no excuse here: the gap is what the group gets.

>>> settings = Fairness(arl=1_000, least=10)
>>> tags = [{"language": "de" if k % 2 else "en"} for k in range(400)]
>>> seen = Outcomes([str(k) for k in range(400)], list(range(400)), tags, [float(k % 2 and k > 99) for k in range(400)])
>>> state, (found,) = follow(settings, State(), "quality", seen)
>>> found.key, found.value, found.measure, found.onset[0], found.pairs < 100
('language', 'de', 'quality', '101', True)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from monitor.describe.fingerprint import event_print, uniforms
from monitor.describe.groups import UNTAGGED, GroupNames, grouped
from monitor.detectors import risk
from monitor.detectors.episode import EndedAlarm, Over
from monitor.detectors.interface import Moment
from monitor.detectors.risk import ProvenHarm, Risk
from monitor.settings import Fairness
from monitor.signals.pairing import Pairing, pair

Measure = Literal["quality", "refusals", "slow"]
EXCESSES = (0.02, 0.04, 0.08, 0.16, 0.32)  # half the gap above the tolerated one
TENTHS = 10  # to which outcomes between 0 and 1 are rounded, up or down by chance, so that their mean stays


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Columns of equal length, in order: events, their time and tags, and a loss from 0 to 1 (1 is bad; NaN: not
    known)."""

    ids: Sequence[str]
    times_ms: Sequence[int]
    tags: Sequence[Mapping[str, str]]
    losses: Sequence[float]


class ComparedGroup(msgspec.Struct, frozen=True):
    """Pairs of one group with the rest: how often each difference came, and the evidence that it is served worse."""

    times: dict[str, int] = {}
    risk: risk.State = risk.State(tuple(risk.Walk() for _ in EXCESSES))
    raised: bool = False  # its alarm is open


class Compared(msgspec.Struct, frozen=True):
    """The groups of one tag, by one measure."""

    known: GroupNames = GroupNames()
    pairing: Pairing = Pairing()
    groups: dict[str, ComparedGroup] = {}


class State(msgspec.Struct, frozen=True):
    """By measure and tag; bounded, JSON through msgspec."""

    measures: dict[str, dict[str, Compared]] = {}


class GroupHarm(msgspec.Struct, frozen=True, kw_only=True):
    """What an alarm of kind `fairness` says. `pairs` and `mean` are since the onset."""

    key: str
    value: str
    measure: str
    tolerated: float
    statistic: float
    threshold: float
    pairs: int
    mean: float
    onset: Moment
    last: Moment

    @property
    def about(self) -> str:
        """Name the measure and the group."""
        return about(self.measure, self.key, self.value)

    @property
    def summary(self) -> str:
        """Return a sentence for people."""
        return (
            f"{self.key}={self.value} is worse off than the rest in {self.measure}: by {self.mean:.0%} in {self.pairs} "
            f"pairs since the onset, {self.tolerated:.0%} are tolerated"
        )

    def evidence(self) -> dict[str, Any]:
        """Return it as an alarm carries it."""
        return msgspec.to_builtins(self)  # type: ignore[no-any-return]


def follow(
    settings: Fairness, state: State, measure: Measure, seen: Outcomes, clear_pairs: int = 0
) -> tuple[State, list[GroupHarm | EndedAlarm]]:
    """Take outcomes of one measure in order; how they are cut into calls changes nothing. Return one alarm of each
    group and measure until it is over, and each end of one: after so many quiet pairs; 0: never."""
    losses = _rounded(seen)
    known = [k for k, loss in enumerate(losses) if not math.isnan(loss)]
    compared, found = dict(state.measures.get(measure, {})), list[tuple[int, GroupHarm | EndedAlarm]]()
    for key in settings.keys:
        tagged = known if key in compared else _since_tagged(seen, known, key)
        if tagged:
            before = compared.get(key, Compared())
            values = [losses[k] for k in tagged]
            compared[key], transitions = _compare(settings, before, (key, measure), seen, tagged, values, clear_pairs)
            found += transitions
    ordered = [each for _, each in sorted(found, key=lambda one: one[0])]
    return State({**state.measures, measure: compared}), ordered


def evidence(settings: Fairness, state: State) -> float:
    """Return the largest statistic over its threshold: an alarm is raised where it reaches 1. 0 without groups."""
    detector = _detector(settings)
    groups = (group for keys in state.measures.values() for each in keys.values() for group in each.groups.values())
    return max((detector.evidence(group.risk) for group in groups), default=0.0)


def restarted(state: State, what: str) -> State:
    """Return the state with the alarm about `what` (`about`) taken back, and its detector started over; the interval of
    the gap stays."""
    for measure, keys in state.measures.items():
        for key, compared in keys.items():
            for value, before in compared.groups.items():
                if about(measure, key, value) == what:
                    group = msgspec.structs.replace(before, risk=risk.restarted(before.risk), raised=False)
                    changed = msgspec.structs.replace(compared, groups={**compared.groups, value: group})
                    return State({**state.measures, measure: {**keys, key: changed}})
    return state


def _compare(
    settings: Fairness,
    before: Compared,
    name: tuple[str, Measure],
    seen: Outcomes,
    chosen: Sequence[int],
    losses: Sequence[float],
    clear_pairs: int,
) -> tuple[Compared, list[tuple[int, GroupHarm | EndedAlarm]]]:
    known, members = grouped(before.known, [seen.tags[k].get(name[0], UNTAGGED) for k in chosen], settings.most)
    pairing, pairs = pair(before.pairing, list(zip(members, losses, strict=True)))
    groups, found = dict(before.groups), list[tuple[int, GroupHarm | EndedAlarm]]()
    for value, fresh in pairs.items():
        old, ends = (
            groups.get(value, ComparedGroup()),
            [(seen.ids[chosen[k]], seen.times_ms[chosen[k]]) for k, _ in fresh],
        )
        groups[value], transitions = _tested(settings, old, [difference for _, difference in fresh], ends, clear_pairs)
        for transition in transitions:
            place = chosen[fresh[transition.step][0]]
            found.append((place, _transition(settings, (*name, value), transition, ends[transition.step])))
    return Compared(known, pairing, groups), found


def _tested(
    settings: Fairness, group: ComparedGroup, differences: Sequence[float], ends: Sequence[Moment], clear_pairs: int
) -> tuple[ComparedGroup, list[ProvenHarm | Over]]:
    """Test pairs; the first only count for the interval: too few to say anything."""
    times = Counter(group.times)
    silent = max(settings.least - times.total(), 0)
    times.update(f"{difference:.1f}" for difference in differences)
    values = [(difference + 1.0) / 2.0 for difference in differences[silent:]]
    after, transitions = _detector(settings).follow(group.risk, values, ends[silent:], clear_pairs)
    tested = msgspec.structs.replace(group, times=dict(times), risk=after, raised=after.episode.open)
    return tested, [replace(each, step=each.step + silent) for each in transitions]


def _transition(
    settings: Fairness, name: tuple[str, Measure, str], transition: ProvenHarm | Over, last: Moment
) -> GroupHarm | EndedAlarm:
    key, measure, value = name
    return (
        EndedAlarm(about(measure, key, value), last)
        if isinstance(transition, Over)
        else _unfair(settings, name, transition, last)
    )


def about(measure: str, key: str, value: str) -> str:
    """Name what an alarm is about: measure and group.

    >>> about("quality", "language", "de")
    'quality/language=de'
    """
    return f"{measure}/{key}={value}"


def _since_tagged(seen: Outcomes, known: Sequence[int], key: str) -> Sequence[int]:
    """Return the known outcomes from the first one with such a tag on."""
    first = next((i for i, k in enumerate(known) if seen.tags[k].get(key)), len(known))
    return known[first:]


def _detector(settings: Fairness) -> Risk:
    return Risk((1.0 + settings.tolerated) / 2.0, settings.arl, EXCESSES)


def _unfair(settings: Fairness, name: tuple[str, Measure, str], harm: ProvenHarm, last: Moment) -> GroupHarm:
    key, measure, value = name
    return GroupHarm(
        key=key,
        value=value,
        measure=measure,
        tolerated=settings.tolerated,
        statistic=harm.statistic,
        threshold=settings.arl,
        pairs=harm.count,
        mean=round(2.0 * harm.losses / harm.count - 1.0, 4),
        onset=harm.since,
        last=last,
    )


def _rounded(seen: Outcomes) -> list[float]:
    """Return losses in tenths, so that few differences can come. Raise ValueError for what is no loss."""
    losses = []
    for k, loss in enumerate(seen.losses):
        if not (0.0 <= loss <= 1.0 or math.isnan(loss)):
            raise ValueError(f"loss of step {k} is {loss}, expected 0 to 1, or NaN: not known")
        losses.append(loss if math.isnan(loss) or loss in (0.0, 1.0) else _tenths(loss, seen.ids[k]))
    return losses


def _tenths(loss: float, id: str) -> float:
    draw = float(uniforms([event_print(id)], 1)[0, 0])
    return math.floor(loss * TENTHS + draw) / TENTHS
