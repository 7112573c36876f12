"""Replies that wait until they are old enough."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detectors.risk import Risk
from monitor.selection import cohort
from monitor.selection.cohort import Cohort, CohortReply, holds, joined, labelled, matured


def reply(k: int, step: int | None = None) -> CohortReply:
    return CohortReply(k, (f"e{k}", k), k if step is None else step, k)


@given(st.sets(st.integers(0, 59)), st.lists(st.integers(1, 60), max_size=4))
def test_each_reply_is_judged_once_in_order_however_it_is_cut(right: set[int], cuts: list[int]) -> None:
    state, found = Cohort(), []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        state = joined(state, [reply(k) for k in range(low, high)])
        state = labelled(state, {k: float(k in right) for k in range(low, high) if k % 3})
        state, steps = matured(state, high)
        found += steps
    assert [step.first[1] for step in found] == list(range(60))
    assert [step.losses for step in found] == [[float(k in right)] if k % 3 else [] for k in range(60)]
    assert (state.seen, state.waiting) == (60, {})


def test_the_first_label_counts_and_one_that_comes_too_late_does_not() -> None:
    state = labelled(labelled(joined(Cohort(), [reply(1)]), {1: 1.0}), {1: 0.0})
    state, (step,) = matured(state, 2)
    assert step.losses == [1.0]
    assert labelled(state, {1: 0.0}) == state


def test_replies_of_one_step_are_judged_as_one() -> None:
    state = labelled(joined(Cohort(), [reply(1, 7), reply(2, 7), reply(3, 8)]), {1: 1.0})
    _, steps = matured(state, 9)
    assert [(step.count, step.lowest, step.highest) for step in steps] == [(2, 0.5, 1.0), (1, 0.0, 1.0)]


def test_a_memory_that_is_full_keeps_an_even_part_and_takes_more_again_when_it_empties() -> None:
    prints = np.random.default_rng(1).integers(0, 2**47, 20_000).tolist()
    state = joined(Cohort(), [CohortReply(one, ("", k), k, k) for k, one in enumerate(prints)])
    assert len(state.waiting) <= cohort.KEPT < 20_000 == len(set(prints))
    assert state.halvings == 4
    assert abs(np.mean([each.at_ms for each in state.waiting.values()]) - 10_000) < 500
    assert msgspec.json.decode(msgspec.json.encode(state), type=Cohort) == state
    state, steps = matured(state, 20_000)
    assert (len(steps), state.halvings) == (state.seen, 3)


def test_coverage_falls_with_the_labels_and_a_withdrawn_word_must_be_earned() -> None:
    def after(state: Cohort, count: int, every: int, first: int) -> Cohort:
        state = joined(state, [reply(k) for k in range(first, first + count)])
        return matured(labelled(state, {k: 0.0 for k in range(first, first + count) if k % every}), first + count)[0]

    full = after(Cohort(), 1_000, 50, 0)
    assert holds(full)
    poor = after(full, 1_000, 5, 1_000)
    assert not holds(poor)
    assert holds(after(poor, 2_000, 50, 2_000), withdrawn=True)
    assert not holds(Cohort(seen=900, covered=0.94), withdrawn=True)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", ["none", "right answers", "wrong answers in the reference", "late and wrong"])
def test_missing_labels_raise_no_alarm_whichever_are_missing(hidden: str) -> None:
    """Nothing changes but which labels are missing. Of 60 runs of a tenth of the run length 6 may stop."""
    arl, rate, stopped = 2_000, 0.1, 0
    for seed in range(60):
        rng = np.random.default_rng((3, seed))
        lost = (rng.random(1_200) < rate).astype(float)
        absent = {
            "none": np.zeros(1_200, bool),
            "right answers": (lost == 0) & (rng.random(1_200) < 0.3) & (np.arange(1_200) >= 1_000),
            "wrong answers in the reference": (lost == 1) & (np.arange(1_200) < 1_000) & (rng.random(1_200) < 0.8),
            "late and wrong": (lost == 1) & (rng.random(1_200) < 0.5),
        }[hidden]
        state = joined(Cohort(), [reply(k) for k in range(1_200)])
        _, steps = matured(labelled(state, {k: lost[k] for k in range(1_200) if not absent[k]}), 1_200)
        limit = sum(step.highest for step in steps[:1_000]) / 1_000 + 0.01
        test = Risk(limit, arl)
        losses, moments = [step.lowest for step in steps[1_000:]], [step.first for step in steps[1_000:]]
        stopped += test.update(test.start(), losses, moments)[1] is not None
    assert stopped <= 10


def test_harm_that_nobody_labels_is_found_by_none_and_labelled_harm_is() -> None:
    state = joined(Cohort(), [reply(k) for k in range(100)])
    _, silent = matured(state, 100)
    _, shown = matured(labelled(state, dict.fromkeys(range(100), 1.0)), 100)
    test = Risk(0.2, 1_000)
    found = [
        test.update(test.start(), [each.lowest for each in steps], [each.first for each in steps])[1] is not None
        for steps in (silent, shown)
    ]
    assert found == [False, True]
