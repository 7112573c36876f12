"""Rates, gaps and intervals hold as often as they say, however long one looked."""

from __future__ import annotations

import numpy as np
import pytest

from retrain.evaluation.fairness.audit import RateInterval, audited, difference, paired, rate
from retrain.evaluation.fairness.counterfactual import GroupSwaps

TRIALS = 400


@pytest.mark.slow
@pytest.mark.parametrize("chances", [(0.9, 0.7), (0.5, 0.5), (0.97, 0.97)])
@pytest.mark.parametrize("stopped", [False, True])
def test_the_intervals_hold_as_often_as_they_say(chances: tuple[float, float], stopped: bool) -> None:
    """Also where rows are asked until a gap looks large, as no interval for a fixed number of rows could."""
    rng, missed = np.random.default_rng(5), np.zeros(3)
    for _ in range(TRIALS):
        groups = [rng.random(160) < chance for chance in chances]
        for count in (20, 40, 80, 160) if stopped else (160,):
            rates = [rate([float(each) for each in group[:count]]) for group in groups]
            gap = difference(*rates)
            if stopped and (gap.low > 0 or gap.high < 0):
                break
        truths = [*zip(rates, chances, strict=True), (gap, chances[0] - chances[1])]
        missed += [not found.low <= truth <= found.high for found, truth in truths]
    assert (missed <= 0.05 * TRIALS).all(), missed / TRIALS


@pytest.mark.slow
def test_paired_changes_hold_as_often_as_they_say() -> None:
    rng, missed = np.random.default_rng(6), 0
    for _ in range(TRIALS):
        pairs = [(float(mine), float(theirs)) for mine, theirs in rng.random((120, 2)) < (0.8, 0.6)]
        found = paired(pairs)
        missed += not found.low <= 0.2 <= found.high
    assert missed <= 0.05 * TRIALS


def test_a_group_that_is_served_worse_is_found_and_one_of_few_rows_is_not_known() -> None:
    groups = {
        "language=de": [(0.0, 1.0)] * 60 + [(1.0, 1.0)] * 40,
        "language=en": [(1.0, 1.0)] * 300,
        "language=fr": [(1.0, 1.0)] * 4,
    }
    found = {each.name: each for each in audited(groups, {"language=fr": 3}, [], 0.1).groups}
    assert {name: each.finding for name, each in found.items()} == {
        "language=de": "behind",
        "language=en": "ahead",
        "language=fr": "unknown",
    }
    assert found["language=de"].change.high < 0
    assert found["language=de"].candidate.value == 0.4
    unknown = audited(groups, {"language=fr": 3}, [], 0.1, untagged=7).unknown
    assert any("language=fr: 4 rows do not tell" in each for each in unknown)
    assert "language=fr: 3 audited replies have no label" in unknown
    assert "7 rows name no group at all" in unknown


def test_a_term_that_changes_answers_is_found_and_one_that_nobody_uses_is_not_known() -> None:
    harmed = GroupSwaps("gender=women", [(0.0, 1.0)] * 50, [(1.0, 1.0)] * 50, 50, 50, 0)
    found = audited({}, {}, [harmed, GroupSwaps("faith=b")], 0.1)
    (swap,) = found.swaps
    assert (swap.finding, swap.changed_candidate, swap.changed_champion) == ("behind", 1.0, 0.0)
    assert swap.champion.low > -0.2
    assert "faith=b: no request that was asked names it alone" in found.unknown


def test_nothing_is_known_of_nothing() -> None:
    assert rate([]) == RateInterval(0.0, 0.0, 1.0)
    assert paired([]) == RateInterval(0.0, -1.0, 1.0)
    assert "requests carry no tags" in audited({}, {}, [], 0.1).unknown[0]
