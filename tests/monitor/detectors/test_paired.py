from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.detectors import paired
from monitor.detectors.paired import Arms, Paired, e_value, e_value_against, interval, mean, start, start_arms, update


def draws(gain: float, discordant: float, runs: int, rows: int, seed: int = 0) -> np.ndarray:
    u = np.random.default_rng(seed).random((runs, rows))
    return np.where(u < (discordant + gain) / 2, 1, np.where(u < discordant, -1, 0))


def rows_needed(differences: np.ndarray, margin: float) -> np.ndarray:
    """When the e-value first reaches 20, for each run: the very formula, for all rows at once."""
    stakes = np.array(paired.STAKES)
    wealth = np.zeros((len(differences), len(stakes)))
    first = np.full(len(differences), differences.shape[1] + 1)
    for k in range(differences.shape[1]):
        wealth += np.log1p(np.outer(differences[:, k] - margin, stakes) / (1 + margin))
        first[(np.exp(wealth).mean(axis=1) >= 20) & (first > k)] = np.minimum(first, k + 1)[
            (np.exp(wealth).mean(axis=1) >= 20) & (first > k)
        ]
    return first


@pytest.mark.parametrize(
    ("gain", "discordant", "margin", "rows", "within"),
    [
        (0.05, 0.15, 0.0, 900, 400),
        (0.1, 0.2, 0.0, 400, 130),
        (0.2, 0.3, 0.0, 200, 50),
        (0.4, 0.5, 0.0, 100, 23),
        (0.0, 0.05, -0.02, 1_600, 900),
    ],
)
def test_rows_needed_to_be_sure(gain: float, discordant: float, margin: float, rows: int, within: int) -> None:
    assert np.median(rows_needed(draws(gain, discordant, 200, rows), margin)) <= within


@pytest.mark.parametrize(("gain", "margin"), [(0.0, 0.0), (-0.02, -0.02)])
def test_type_one_error_with_a_look_after_every_row(gain: float, margin: float) -> None:
    assert (rows_needed(draws(gain, 0.2, 600, 500), margin) <= 500).mean() <= 0.05


def test_the_simulated_formula_is_the_modules() -> None:
    differences = draws(0.2, 0.3, 1, 200)
    first = int(rows_needed(differences, 0.0)[0])
    assert e_value(update(start(), differences[0, : first - 1].tolist())) < 20
    assert e_value(update(start(), differences[0, :first].tolist())) >= 20


@given(st.lists(st.floats(-1, 1), max_size=60), st.floats(-0.9, 0.9))
@settings(max_examples=40)
def test_order_and_cuts_change_no_evidence(differences: list[float], margin: float) -> None:
    whole = update(start(), differences)
    parts = update(update(start(), reversed(differences[30:])), differences[:30])
    assert e_value(whole, margin) == pytest.approx(e_value(parts, margin))
    assert e_value(whole, margin) == pytest.approx(e_value_against(paired.mirrored(whole), -margin))
    assert interval(whole)[0] <= interval(whole)[1]
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Paired) == whole


@pytest.mark.slow
def test_the_confidence_sequence_misses_no_more_often_than_alpha() -> None:
    missed = 0
    for run in draws(0.1, 0.4, 80, 120, seed=4):
        state = start(0.1)
        for low in range(0, 120, 20):
            state = update(state, run[low : low + 20].tolist())
        missed += not interval(state)[0] <= 0.1 <= interval(state)[1]
    assert missed <= 8


@given(st.lists(st.lists(st.sampled_from([-1.0, -0.25, 0.0, 0.5, 1.0]), min_size=1, max_size=40), max_size=12))
def test_the_running_interval_is_the_intersection_of_all_looks(looks: list[list[float]]) -> None:
    state, seen = start(), list[float]()
    low, high = interval(state)
    for look in looks:
        state, seen = update(state, look), [*seen, *look]
        alone = interval(update(start(), seen))
        low, high = max(low, alone[0]), min(high, alone[1])
        assert interval(state) == (low, high)


def test_nothing_seen_proves_nothing() -> None:
    assert e_value(start()) == 1.0
    assert interval(start()) == (-1.0, 1.0)
    assert mean(start()) == 0.0
    assert update(start(), []) == start()


@pytest.mark.parametrize("wrong", [1.5, float("nan"), -2.0])
def test_other_numbers_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="from -1 to 1"):
        update(start(), [wrong])
    with pytest.raises(ValueError, match="margin"):
        e_value(start(), wrong)


def outcomes(canary: float, champion: float, share: float, count: int, seed: int) -> list[tuple[bool, float]]:
    rng = np.random.default_rng(seed)
    arms = (rng.random(count) < share).tolist()
    return [(arm, float(rng.random() < (canary if arm else champion))) for arm in arms]


@pytest.mark.slow
def test_a_worse_canary_is_noticed_and_an_equal_one_left_alone() -> None:
    def worse(canary: float, seed: int) -> bool:
        return paired.e_worse(paired.update_arms(start_arms(), outcomes(canary, 0.05, 0.2, 600, seed)), 0.02) >= 20

    assert sum(worse(0.5, seed) for seed in range(20)) >= 19
    assert sum(worse(0.05, seed) for seed in range(40)) <= 2


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1.0])), max_size=40), st.integers(0, 40))
@settings(max_examples=30)
def test_arms_do_not_care_how_outcomes_are_cut(seen: list[tuple[bool, float]], cut: int) -> None:
    whole = paired.update_arms(start_arms(), seen)
    parts = paired.update_arms(paired.update_arms(start_arms(), seen[:cut]), seen[cut:])
    assert msgspec.structs.replace(parts, paired=whole.paired) == whole
    assert parts.paired.times == whole.paired.times
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Arms) == whole
