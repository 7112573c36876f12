"""A judge model's estimates in an audit's own test: they save labels, and never make it wrong."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from monitor.detectors.interface import Floats
from monitor.selection.ordered import estimated, given, served, turned
from monitor.selection.ordered_labels import Arrived, AwaitedReply, OrderedLabels, OrderedRules
from tests.monitor.support.audited import LIMIT, Judge, binary, coin, contrary
from tests.monitor.support.judging import CHUNK, NAME, JudgedAudit, delays, learned


@pytest.mark.slow
@pytest.mark.parametrize(("judge", "most"), [(binary, 0.9), (coin, 1.12)])
def test_a_judge_saves_labels_and_one_that_became_useless_costs_few(judge: Judge, most: float) -> None:
    found = np.array([delays(judge, learned(binary, 1.0, seed % 4), seed) for seed in range(60)])
    assert found[:, 1].sum() <= most * found[:, 0].sum()


def blind(losses: Floats, rng: np.random.Generator) -> Floats:
    """Would say the opposite of what is right, and is away for nearly all wrong answers."""
    return np.where((losses > 0) & (rng.random(len(losses)) < 0.9), np.nan, 1.0 - losses)


@pytest.mark.slow
@pytest.mark.parametrize("judge", [binary, coin, contrary, blind])
def test_at_the_limit_the_run_length_is_kept_whatever_the_judge_says_and_of_whatever(judge: Judge) -> None:
    """A control that is trusted far too much. Of 60 runs of a tenth of the run length 6 may stop."""
    arl, stopped = 1_000.0, 0
    rules = OrderedRules(arl=arl, least=400, audit=True, wait_ms=20_000)
    state = replace(learned(binary), control=(0.6, 0.5))
    for seed in range(60):
        audit, found = JudgedAudit(state, seed, rules=rules), None
        while found is None and len(audit.audited) < arl / 10:
            losses = (audit.rng.random(CHUNK) < LIMIT).astype(float)
            found = audit.take(losses, judge(losses, audit.rng))
        stopped += found is not None
    assert stopped <= 11


def replies(first: int, count: int, judge: str = NAME) -> list[AwaitedReply]:
    return [AwaitedReply(k, (str(k), k), k, k, mine=k % 10 == 3, judge=judge) for k in range(first, first + count)]


def test_an_estimate_and_a_label_count_whether_they_come_before_or_after_their_group_is_full() -> None:
    rules, ends = OrderedRules(arl=1_000.0, audit=True, wait_ms=1_000), []
    scores = {k: 0.1 * (k % 10) for k in range(40)}
    for late in (False, True):
        state = OrderedLabels()
        for k in range(0, 40, 5):
            state = served(state, replies(k, 5), audit=True)
            if not late:
                state = estimated(state, NAME, {each: scores[each] for each in range(k, k + 5)})
                state = given(state, {each: Arrived(1.0, each) for each in range(k, k + 5) if each % 10 == 3})
        if late:
            state = estimated(state, NAME, scores)
            state = given(state, {each: Arrived(1.0, each) for each in range(40) if each % 10 == 3})
        state, _ = turned(rules, state, 5_000)
        ends.append(state.learned)
    assert ends[0] == ends[1]
    assert [(count, loss, round(mean, 4)) for count, loss, _, mean in ends[0]] == [(1, 1.0, 0.3)] * 4


def test_another_judge_s_estimates_are_none_and_what_is_over_is_forgotten() -> None:
    state = served(OrderedLabels(), replies(0, 40), audit=True)
    assert estimated(state, "judge/other", {3: 0.5}) == state
    kept = msgspec.json.decode(msgspec.json.encode(state), type=OrderedLabels)
    assert kept == state
    assert len(state.late.groups) == 4
    state, _ = turned(OrderedRules(arl=1_000.0, audit=True, wait_ms=1_000), state, 5_000)
    assert (state.late.groups, state.late.awaited) == ({}, {})
