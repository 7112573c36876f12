"""Bets that use estimates: valid whatever these are, sooner where they are good."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.detectors.mixture import State
from monitor.detectors.powered import Control, GroupLosses, Powered, fitted, gaps
from tests.monitor.support.audited import (
    ARL,
    GROUP,
    LIMIT,
    Judge,
    binary,
    coin,
    contrary,
    delays,
    graded,
    groups,
    learned,
    moments,
)


@pytest.mark.slow
@pytest.mark.parametrize("judge", [binary, graded])
def test_a_judge_saves_labels(judge: Judge) -> None:
    """Goal: 15 % fewer."""
    found = np.array([delays(judge, learned(judge), seed) for seed in range(100)])
    assert found[:, 1].sum() <= 0.85 * found[:, 0].sum()


@pytest.mark.slow
def test_a_judge_that_has_become_useless_costs_few_labels() -> None:
    """Goal: 12 % more at most."""
    found = np.array([delays(coin, learned(binary), seed) for seed in range(100)])
    assert found[:, 1].sum() <= 1.12 * found[:, 0].sum()


def test_estimates_that_say_nothing_are_not_used() -> None:
    assert learned(coin) == learned(contrary) == Control()
    assert fitted([0.0] * 50, [0.1] * 50, 0.2, GROUP) == fitted([1.0], [1.0], 0.2, GROUP) == Control()
    assert 0.3 < learned(binary).share <= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("judge", [binary, coin, contrary])
def test_whatever_the_estimates_are_the_run_length_is_kept(judge: Judge) -> None:
    """At the limit, with a control that is trusted far too much. Of 80 runs of a tenth of the run length 8 may stop."""
    arl, stopped = 500.0, 0
    test = Powered(LIMIT, arl, Control(0.6, 0.5))
    for seed in range(80):
        rng = np.random.default_rng((5, seed))
        losses = (rng.random(1_400) < LIMIT).astype(float)
        steps = groups(losses, judge(losses, rng), rng)[: int(arl) // 10]
        stopped += bool(test.follow(test.start(), steps, moments(len(steps)))[1])
    assert stopped <= 13


@pytest.mark.slow
def test_estimates_that_drift_while_the_answers_do_not_raise_no_alarm() -> None:
    """The judge turns hostile in the middle: its verdicts rise from 0.2 to 0.9, on all replies alike."""
    test, stopped = Powered(LIMIT, 500.0, Control(0.6, 0.5)), 0
    for seed in range(60):
        rng = np.random.default_rng((6, seed))
        losses = (rng.random(1_400) < 0.1).astype(float)
        steps = groups(losses, np.linspace(0.2, 0.9, 1_400) + 0.1 * rng.random(1_400), rng)
        stopped += bool(test.follow(test.start(), steps, moments(len(steps)))[1])
    assert stopped <= 8


def test_each_bet_has_mean_one_at_the_limit_over_all_ways_to_choose() -> None:
    """Over each way to label two of six replies, and whatever the estimates: exact, no simulation."""
    rng = np.random.default_rng(8)
    test = Powered(0.5, 100.0, Control(0.6, 0.3))
    for _ in range(20):
        losses, estimates = rng.permutation([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]), rng.random(6)
        factors = [
            np.exp(test.gains(GroupLosses(losses[[i, j]].tolist(), float(np.mean(gaps(estimates, [i, j])))))[5:])
            for i in range(6)
            for j in range(6)
            if i != j
        ]
        assert np.mean(factors, axis=0) == pytest.approx(1.0)


def test_missing_estimates_and_groups_without_labels_are_no_evidence() -> None:
    assert gaps(np.array([0.2, np.nan, 0.4]), [0, 2]) == [0.0, 0.0]
    test = Powered(LIMIT, ARL)
    state, found = test.follow(test.start(), [GroupLosses([], 0.3)] * 5, moments(5))
    assert (found, test.evidence(state)) == ([], 0.0)


def test_how_it_is_cut_changes_nothing_and_json_keeps_all() -> None:
    rng = np.random.default_rng(3)
    losses = (rng.random(2_000) < 0.4).astype(float)
    steps = groups(losses, binary(losses, rng), rng)
    test = Powered(LIMIT, ARL, Control(0.5, 0.7))
    whole, found = test.follow(test.start(), steps, moments(len(steps)), 20)
    half = len(steps) // 2
    first, one = test.follow(test.start(), steps[:half], moments(half), 20)
    kept = msgspec.json.decode(msgspec.json.encode(first), type=State)
    second, two = test.follow(kept, steps[half:], moments(len(steps))[half:], 20)
    assert second == whole
    assert len(one) + len(two) == len(found) == 1


def test_a_loss_out_of_bounds_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"loss is 1\.5, expected 0 to 1"):
        Powered(LIMIT, ARL).gains(GroupLosses([1.5]))
