"""Complaints as a rate: of the replies to keys that complain, what share is complained about?

A thumb down, a low score, a correction that differs: those who volunteer them choose when they do, so a complaint is no
measured error. But who complains once in a hundred replies and then once in thirty has noticed something. So each reply
of such keys is one row: 1 where a complaint came before the reply was `wait_ms` old, else 0; in the order of the
replies. Silence is an answer here, and nothing is missing.

From the first complaint on the rows are learned from, until `ENOUGH` complaints or `MOST` replies say what is usual.
They fix the keys, the age and the limit, which is the upper bound of the rate and nothing more. Bets are on twice, four
and eight times that: so rates up to some 1.4 times the limit only lose, and no tolerance is needed. The bets are those
of `monitor.detectors.risk`: `arl` replies pass between false alarms, at least, on average.

>>> rules, found = ComplaintRules(arl=10_000.0, wait_ms=5), []
>>> state = complained(Complaints(), {0: 7}, now_ms=1)
>>> for k in range(1, 3_000):
...     state, fresh = replied(rules, state, [CohortReply(k, (f"e{k}", k), k, k, key="app")], now_ms=k)
...     found += fresh
...     if k % (20 if k < 2_500 else 4) == 0:
...         state = complained(state, {k: 0}, now_ms=k)
>>> state.usual, round(state.limit, 3), [(each.change.since[0], each.last[0]) for each in found]
(0.05, 0.059, [('e2500', 'e2536')])
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from monitor.detectors import risk
from monitor.detectors.episode import Over, steps
from monitor.detectors.interface import Moment
from monitor.detectors.risk import ProvenHarm, Risk
from monitor.reference.dependence import OpenBlock, added, known_of
from monitor.selection import cohort, delays
from monitor.selection.cohort import Cohort, CohortReply, CohortStep
from monitor.selection.delays import Delays

DAY_MS = 86_400_000
TIMES = (2.0, 2.0, 4.0, 8.0)  # the limit: the rates that it bets on; on twice the limit with twice the weight
ENOUGH = 100  # complaints, after which their usual rate is known to a tenth
MOST = 10_000  # replies that are learned from
FEWEST = 5  # complaints without which there is no usual rate
IN_TIME = 0.9  # of the complaints, that the age waits for
KEYS = 256  # that are remembered while it is learned


@dataclass(frozen=True, slots=True)
class ComplaintRules:
    """How complaints are judged. `arl`: replies between false alarms, at least. `wait_ms`: the age at which a reply is
    judged; 0: learned. `least`: replies to learn from. `confidence`: of the bound of their rate. `clear_after`: replies
    after which a quiet alarm is over."""

    arl: float
    wait_ms: int = 0
    least: int = 2_000
    confidence: float = 0.95
    clear_after: int = 200


class Complaints(msgspec.Struct, frozen=True):
    """What is known of complaints, and the test."""

    cohort: Cohort = Cohort()
    delays: Delays = Delays()
    began_ms: int = 0  # with the first complaint
    replies: dict[str, int] = {}  # of each key, while it is learned
    losses: dict[int, float] = {}  # of those that were complained about while it was learned, by their place
    learned: int = 0  # replies so far
    wait_ms: int = 0  # the age at which replies are judged, once it is learned
    keys: list[str] = []  # that complain
    usual: float = 0.0  # share of their replies
    limit: float | None = None
    block: int = 1  # replies that are judged as one, because they depend on each other
    inflation: float = 1.0
    unfinished: OpenBlock = OpenBlock()
    test: risk.State = risk.State()


class Turned(NamedTuple):
    """A change of the test, and the last reply that it rests on."""

    change: ProvenHarm | Over
    last: Moment


def replied(
    rules: ComplaintRules, state: Complaints, replies: Sequence[CohortReply], now_ms: int
) -> tuple[Complaints, list[Turned]]:
    """Take replies in order; `now_ms`: the log's time. Those that are old enough are learned from, or judged. Before
    the first complaint none is kept."""
    if not state.began_ms:
        return state, []
    mine = [each for each in replies if each.key in state.keys] if state.limit is not None else replies
    waiting, done = cohort.matured(cohort.joined(state.cohort, mine), now_ms - age(rules, state, now_ms))
    state = replace(state, cohort=waiting)
    if state.limit is not None:
        return _judged(rules, state, done)
    for k, step in enumerate(done):
        state = _learned(rules, _noted(state, step), now_ms)
        if state.limit is not None:
            return _judged(rules, state, [each for each in done[k + 1 :] if each.replies[0].key in state.keys])
    return state, []


def complained(state: Complaints, given: Mapping[int, int], now_ms: int) -> Complaints:
    """Take complaints: the hash of the reply, and when it was complained about. A reply is complained about once."""
    fresh = {one: at for one, at in given.items() if _waits(state.cohort, one)}
    seen = state.delays
    for one, at in fresh.items():
        seen = delays.added(seen, at - state.cohort.waiting[one].at_ms)
    marked = cohort.labelled(state.cohort, dict.fromkeys(fresh, 1.0))
    return replace(state, cohort=marked, delays=seen, began_ms=state.began_ms or now_ms)


def age(rules: ComplaintRules, state: Complaints, now_ms: int) -> int:
    """Return the age at which a reply is judged: as long as most complaints take, a day at most."""
    if rules.wait_ms or state.wait_ms:
        return rules.wait_ms or state.wait_ms
    return delays.known_age(state.delays, IN_TIME, now_ms - state.began_ms, DAY_MS)


def tester(rules: ComplaintRules, state: Complaints) -> Risk:
    """Return the test of a state that is learned."""
    limit = state.limit or 0.0
    return Risk(limit, rules.arl / state.block, tuple(limit * (times - 1.0) for times in TIMES), state.inflation)


def evidence(rules: ComplaintRules, state: Complaints) -> float:
    """Return the statistic over its threshold."""
    return tester(rules, state).evidence(state.test) if state.limit is not None else 0.0


def restarted(state: Complaints) -> Complaints:
    """Return the state with the test started over."""
    return replace(state, test=risk.restarted(state.test))


def _waits(waiting: Cohort, one: int) -> bool:
    reply = waiting.waiting.get(one)
    return reply is not None and reply.loss == cohort.MISSING


def _judged(rules: ComplaintRules, state: Complaints, done: Sequence[CohortStep]) -> tuple[Complaints, list[Turned]]:
    """Test rows in blocks, as many steps long as what was learned asks for."""
    full: list[OpenBlock] = []
    lasts: list[Moment] = []
    block = state.unfinished
    for step in done:
        block, ended = added(block, state.block, step.lowest, step.count, step.first)
        full += [ended] if ended else []
        lasts += [step.replies[-1].moment] if ended else []
    test, found = tester(rules, state).follow(
        state.test,
        [each.loss for each in full],
        [each.first for each in full],
        steps(rules.clear_after, state.block),
        [each.labels for each in full],
    )
    return replace(state, unfinished=block, test=test), [Turned(each, lasts[each.step]) for each in found]


def _noted(state: Complaints, step: CohortStep) -> Complaints:
    """Learn from one step: it belongs to the key of its first reply."""
    key, place = step.replies[0].key, state.learned
    if key not in state.replies and len(state.replies) >= KEYS:
        return state
    replies, keys, losses = state.replies | {key: state.replies.get(key, 0) + 1}, state.keys, state.losses
    if step.lowest:
        keys, losses = keys if key in keys else [*keys, key], losses | {place: step.lowest}
    return replace(state, replies=replies, keys=keys, losses=losses, learned=place + 1)


def _learned(rules: ComplaintRules, state: Complaints, now_ms: int) -> Complaints:
    """Fix the limit, where enough is known."""
    if state.learned < max(rules.least, MOST if len(state.losses) < ENOUGH else 0) or len(state.losses) < FEWEST:
        return state
    known = known_of(_series(state), range(sum(state.replies[key] for key in state.keys)))
    limit = risk.upper_bound(math.ceil(known.rate * known.worth), known.worth, rules.confidence)
    state = replace(
        state,
        wait_ms=age(rules, state, now_ms),
        usual=known.rate,
        limit=limit,
        block=known.block,
        inflation=known.inflation,
        replies={},
        losses={},
        test=risk.State(tuple(risk.Walk() for _ in TIMES)),
    )
    waiting = {one: each for one, each in state.cohort.waiting.items() if each.key in state.keys}
    return replace(state, cohort=replace(state.cohort, waiting=waiting))


def _series(state: Complaints) -> list[float]:
    """Return the losses of the keys that complain, in the order of their replies: those of other keys, which are all
    without a complaint, are left out evenly."""
    count = sum(state.replies[key] for key in state.keys)
    series, place = [0.0] * count, -1
    for each, loss in state.losses.items():
        place = min(max(place + 1, each * count // state.learned), count - 1)
        series[place] = loss
    return series
