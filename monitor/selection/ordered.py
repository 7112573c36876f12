"""A source whose labels are judged at one age, in the order of the replies: an audit, or all replies of a key.

First its rows are learned from, until `LEARNED` labels say what is usual; then each is tested. What is missing counts
against harm both times: as wrong where the limit is made, as right where it is tested (`monitor.selection.cohort`). So
an audit with many labels missing proves less, and never something false; by how much it proves less is the difference
of `usual` and `highest`.

Of audited replies the estimated losses of their neighbours are used too (`monitor.detectors.powered`): replies come in
groups of `GROUP`, in each of which the audited ones are a random part. The estimates are the confidence's, which come
with the replies, or a judge model's, which come later (`monitor.selection.neighbours`): then neighbours are those that
the judge is asked about. Which of the two is settled while the source is learned.

>>> rules, state, found = OrderedRules(arl=1_000.0), OrderedLabels(), []
>>> for k in range(400):
...     state = served(state, [AwaitedReply(k, (f"e{k}", k), k, k)])
...     state = given(state, {k: Arrived(float(k % 10 == 0 or k > 300), k + 1)})
...     state, fresh = turned(rules, state, now_ms=k)
...     found += fresh
>>> round(state.limit, 3), found[0].change.since[0], found[0].last[0]
(0.18, 'e300', 'e305')
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from monitor.detectors import mixture
from monitor.detectors.episode import QUIET, steps
from monitor.detectors.interface import Moment
from monitor.detectors.powered import NO_CONTROL, Control, GroupLosses, Powered, fitted, gaps
from monitor.losses import is_graded
from monitor.reference import limits
from monitor.reference.dependence import known_of
from monitor.selection import cohort, delays, neighbours
from monitor.selection.cohort import LOOKED_AT, MISSING, CohortReply, CohortStep
from monitor.selection.neighbours import UNKNOWN, LateEstimates
from monitor.selection.ordered_labels import Arrived, AwaitedReply, OrderedChange, OrderedLabels, OrderedRules

GROUP = 10  # neighbours of which a few are audited
IN_TIME = 0.95  # of the labels come before the age at which a reply is judged
AIM = 0.05  # above the limit: where estimates are to serve best


def served(state: OrderedLabels, replies: Sequence[AwaitedReply], *, audit: bool = False) -> OrderedLabels:
    """Take replies in their order. Of an audit all replies are taken, in groups; else those that are `mine`."""
    began = state.began_ms or (replies[0].at_ms if replies else 0)
    if not audit:
        rows = [CohortReply(each.print, each.moment, each.step, each.at_ms) for each in replies if each.mine]
        return replace(state, cohort=cohort.joined(state.cohort, rows), began_ms=began)
    other = next((k for k, each in enumerate(replies) if each.judge not in ("", state.judge)), None)
    if other is not None and state.limit is None:
        state = _estimated_by(served(state, replies[:other], audit=True), replies[other].judge)
        return served(state, replies[other:], audit=True)
    if state.judge:
        taken = [each._replace(estimate=UNKNOWN) for each in replies if each.mine or each.judge == state.judge]
    else:
        taken = list(replies)
    near = [*state.neighbours, *((each.print, each.moment, each.at_ms, each.estimate, each.mine) for each in taken)]
    rows, estimates, late = [], dict(state.estimates), state.late
    while len(near) >= GROUP:
        group, near = near[:GROUP], near[GROUP:]
        mine, step = [k for k, each in enumerate(group) if each[4]], group[0][0]
        guessed = np.array([math.nan if each[3] < 0 else each[3] for each in group])
        if mine and state.judge:
            late = neighbours.formed(late, step, {each[0]: each[3] for each in group}, [group[k][0] for k in mine])
        for k, gap in zip(mine, gaps(guessed, mine), strict=True):
            one, moment, *_ = group[k]
            rows.append(CohortReply(one, moment, step, group[-1][2], gap=0.0 if state.judge else gap))
            if state.limit is None and group[k][3] >= 0 and not state.judge:
                estimates[one] = group[k][3]
    joined = cohort.joined(state.cohort, rows)
    early = {one: label for one, label in state.early.items() if any(one == each[0] for each in near)}
    arrived = {one: label for one, label in state.early.items() if one not in early}
    state = replace(state, cohort=joined, began_ms=began, neighbours=near, estimates=estimates, late=late, early=early)
    return given(state, arrived) if arrived else state


def _estimated_by(state: OrderedLabels, judge: str) -> OrderedLabels:
    """Return the state with a judge model as the one that estimates; what was estimated before is no more use."""
    learned = [(count, loss, highest, UNKNOWN) for count, loss, highest, _ in state.learned]
    return replace(state, judge=judge, late=LateEstimates(), neighbours=[], estimates={}, learned=learned)


def estimated(state: OrderedLabels, judge: str, losses: Mapping[int, float]) -> OrderedLabels:
    """Take a judge model's estimates, by the hash of their reply."""
    if judge != state.judge:
        return state
    near = [
        (one, moment, at_ms, losses.get(one, known) if known == UNKNOWN else known, mine)
        for one, moment, at_ms, known, mine in state.neighbours
    ]
    late = neighbours.arrived(state.late, losses)
    return state if late is state.late and near == state.neighbours else replace(state, late=late, neighbours=near)


def given(state: OrderedLabels, labels: Mapping[int, Arrived]) -> OrderedLabels:
    """Take labels, by the hash of their reply. Those of a group that is not full are kept until it is."""
    waiting, near = state.cohort.waiting, {each[0] for each in state.neighbours if each[4]}
    if early := {one: label for one, label in labels.items() if one in near and one not in state.early}:
        state = replace(state, early=state.early | early)
    fresh = {one: each for one, each in labels.items() if one in waiting and waiting[one].loss == MISSING}
    seen = state.delays
    for one, each in fresh.items():
        seen = delays.added(seen, each.given_ms - waiting[one].at_ms)
    marked = cohort.labelled(state.cohort, {one: each.loss for one, each in fresh.items()})
    return replace(state, cohort=marked, delays=seen)


def turned(
    rules: OrderedRules, state: OrderedLabels, now_ms: int, others: Callable[[], float] = float
) -> tuple[OrderedLabels, list[OrderedChange]]:
    """Judge the replies that are old enough; `now_ms`: the log's time. `others`: what other sources prove, of 1."""
    age = state.age_ms or delays.known_age(state.delays, IN_TIME, now_ms - state.began_ms, rules.wait_ms)
    waiting, done = cohort.matured(state.cohort, now_ms - age)
    if not done:
        return state, []
    done = [_with_gap(state, step) for step in done]
    state, found = replace(state, cohort=waiting), list[OrderedChange]()
    for k, step in enumerate(done):
        if state.limit is None:
            state = _learned(rules, _noted(state, step), age)
            continue
        state, found = _tested(rules, _kept(rules, state), done[k:], others(), found)
        break
    late = neighbours.within(state.late, {each.step for each in waiting.waiting.values()})
    return (state if late is state.late else replace(state, late=late)), found


def tester(rules: OrderedRules, state: OrderedLabels) -> Powered:
    """Return the test of a state that is learned."""
    return Powered(
        state.limit or 0.0,
        rules.arl / (state.block * state.per_step),
        Control(*state.control),
        inflation=state.inflation,
        graded=state.graded,
    )


def evidence(rules: OrderedRules, state: OrderedLabels) -> float:
    """Return the statistic over its threshold."""
    return tester(rules, state).evidence(state.test) if state.limit is not None else 0.0


def missing_share(state: OrderedLabels) -> float:
    """Return the share of the last replies that had no label in time."""
    return 1.0 - state.cohort.covered if state.cohort.seen else 0.0


def _with_gap(state: OrderedLabels, step: CohortStep) -> CohortStep:
    """Return the step with the gap of a judge model's estimates, as far as they have come."""
    if not state.judge:
        return step
    gap = neighbours.gap(state.late, step.replies[0].step, [each.print for each in step.replies])
    return CohortStep([replace(each, gap=gap) for each in step.replies])


def _noted(state: OrderedLabels, step: CohortStep) -> OrderedLabels:
    """Learn from one step."""
    if state.judge:
        guessed = neighbours.mine(state.late, step.replies[0].step, [each.print for each in step.replies])
    else:
        guessed = [state.estimates[each.print] for each in step.replies if each.print in state.estimates]
    estimates = {one: each for one, each in state.estimates.items() if one in state.cohort.waiting}
    mean = sum(guessed) / len(guessed) if len(guessed) == step.count else UNKNOWN
    entry = (len(step.losses), sum(step.losses), step.highest, mean)
    return replace(state, learned=[*state.learned, entry], estimates=estimates)


def _learned(rules: OrderedRules, state: OrderedLabels, age: int) -> OrderedLabels:
    """Fix the limit, where enough labels are known."""
    labels = sum(count for count, *_ in state.learned)
    if labels < rules.least or (rules.complete and not cohort.holds(state.cohort, withdrawn=True)):
        return replace(state, learned=state.learned[-rules.least * 20 :])
    highs = [high for _, _, high, _ in state.learned]
    known = known_of(highs, range(len(highs)))
    limit = limits.highest(known, rules.confidence) + rules.tolerance
    with_labels = [each for each in state.learned if each[0]]
    pairs = [(loss / count, guess) for count, loss, _, guess in with_labels if guess != UNKNOWN]
    near = max(1.0, GROUP * len(with_labels) / labels)
    control = fitted([a for a, _ in pairs], [b for _, b in pairs], limit + AIM, near) if rules.audit else NO_CONTROL
    return replace(
        state,
        age_ms=age,
        estimates={},
        learned=[],
        learned_labels=labels,
        usual=sum(loss for _, loss, _, _ in with_labels) / labels,
        highest=known.rate,
        limit=limit,
        graded=is_graded(loss / count for count, loss, _, _ in with_labels if count == 1),
        block=known.block,
        inflation=known.inflation,
        per_step=labels / len(with_labels),
        control=tuple(control),
        test=replace(Powered(limit, rules.arl).start(), episode=state.test.episode),
    )


def _kept(rules: OrderedRules, state: OrderedLabels) -> OrderedLabels:
    """Withdraw the declaration of a complete source that labels less than that, or believe it again."""
    if not rules.complete or state.cohort.seen < LOOKED_AT // 2:
        return state
    withdrawn = not cohort.holds(state.cohort, state.withdrawn)
    if withdrawn and not state.withdrawn:
        return replace(state, withdrawn=True, open=[], test=mixture.start(len(state.test.sums)))
    return replace(state, withdrawn=withdrawn)


def _tested(
    rules: OrderedRules, state: OrderedLabels, done: Sequence[CohortStep], others: float, found: list[OrderedChange]
) -> tuple[OrderedLabels, list[OrderedChange]]:
    """Test steps in blocks. A step without any label is none: there is nothing that speaks for harm or against it."""
    if state.withdrawn:
        return state, found
    groups: list[GroupLosses] = []
    moments: list[Moment] = []
    lasts: list[Moment] = []
    block, labels = list(state.open), state.labels
    for step in done:
        labels += len(step.losses)
        block.append((step.losses + [0.0] * (step.count - len(step.losses)), step.gap, step.first))
        if len(block) == state.block:
            groups.append(_group(block))
            moments.append(block[0][2])
            lasts.append(step.replies[-1].moment)
            block = []
    test = tester(rules, state)
    left = dataclasses.replace(test, arl=test.arl * max(1e-6, 1.0 - others))
    silent = others < QUIET or not state.test.episode.open
    clear_after = steps(rules.clear_after, state.block) if silent else 0
    after, changes = left.follow(state.test, groups, moments, clear_after)
    state = replace(state, test=after, open=block, labels=labels)
    return state, [*found, *(OrderedChange(each, lasts[each.step]) for each in changes)]


def _group(block: Sequence[tuple[list[float], float, Moment]]) -> GroupLosses:
    """Return steps as one: alone as it is, several as their mean."""
    if len(block) == 1:
        return GroupLosses(block[0][0], block[0][1])
    means = [sum(losses) / len(losses) for losses, _, _ in block]
    return GroupLosses([sum(means) / len(means)], sum(gap for _, gap, _ in block) / len(block))


def restarted(state: OrderedLabels) -> OrderedLabels:
    """Return the state with the test started over."""
    return replace(state, open=[], test=mixture.start(len(state.test.sums)))
