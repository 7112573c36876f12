from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.detectors.interface import Change
from monitor.detectors.location_spread import LocationSpread, dead_zone

Floats = NDArray[np.float64]


def detector(columns: int = 1, arl: float = 1_000, dead_zone: float = 0.02) -> LocationSpread:
    return LocationSpread(arl, dead_zone, tuple(f"x{j}" for j in range(columns)))


def watch(scores: Floats, arl: float = 1_000, dead_zone: float = 0.02) -> Change | None:
    ours = detector(scores.shape[1], arl, dead_zone)
    return ours.update(ours.start(), scores, [(str(k), k) for k in range(len(scores))])[1]


def delays(shift: float, arl: float, runs: int, horizon: int, columns: int = 1, dead_zone: float = 0.02) -> list[int]:
    rng = np.random.default_rng(11)
    found = [watch(rng.standard_normal((horizon, columns)) + shift, arl, dead_zone) for _ in range(runs)]
    return [each.step + 1 if each else horizon for each in found]


@pytest.mark.slow
def test_healthy_events_fire_no_more_often_than_asked() -> None:
    """100 runs of 300 steps at ARL 1,000: an exponential run length would stop 26 of them."""
    assert sum(delay < 300 for delay in delays(0.0, 1_000, 100, 300)) <= 26


def test_one_budget_for_many_descriptors() -> None:
    assert sum(delay < 150 for delay in delays(0.0, 1_000, 60, 150, columns=12)) <= 10


@pytest.mark.parametrize(("shift", "within"), [(0.5, 80), (1.0, 25), (-1.0, 25)])
def test_delay_at_ten_thousand_events_between_false_alarms(shift: float, within: int) -> None:
    assert np.median(delays(shift, 10_000, 30, 400, dead_zone=0.022)) <= within


@pytest.mark.parametrize("descriptors", [1, 15, 64])
def test_the_dead_zone_grows_with_what_is_asked_and_shrinks_with_the_reference(descriptors: int) -> None:
    by_arl = [dead_zone(arl, 500, descriptors) for arl in (1e2, 1e4, 1e6, 1e12)]
    by_size = [dead_zone(10_000, size, descriptors) for size in (100, 500, 2_000, 100_000)]
    assert by_arl == sorted(by_arl)
    assert by_size == sorted(by_size, reverse=True)
    assert by_size[-1] == 0.0
    assert by_arl[-1] < 3.4 / np.sqrt(500)
    assert dead_zone(10_000, 500, descriptors) <= dead_zone(10_000, 500, descriptors + 1)


def test_a_small_references_errors_bring_no_early_alarms() -> None:
    """60 references of 200 events for 15 descriptors: their means are off by 0.07 sigma, the worst by 0.18."""
    rng, arl = np.random.default_rng(12), 1_000.0
    zone, stopped = dead_zone(arl, 200, 15), {True: 0, False: 0}
    for _ in range(60):
        scores = rng.standard_normal((100, 15)) + rng.standard_normal(15) / np.sqrt(200)
        for kept in stopped:
            stopped[kept] += watch(scores, arl, zone if kept else 0.0) is not None
    assert stopped[True] <= 9
    assert stopped[True] < stopped[False]


def test_what_dependence_is_left_is_taken_off_the_bets() -> None:
    """AR(1) of 0.3: 60 runs of a tenth of the run length asked for."""
    rng, early = np.random.default_rng(13), {1.0: 0, 1.3 / 0.7: 0}
    for _ in range(60):
        scores = rng.standard_normal((200, 1))
        for k in range(1, 200):
            scores[k] = 0.3 * scores[k - 1] + np.sqrt(1 - 0.09) * scores[k]
        for inflation in early:
            ours = LocationSpread(2_000, 0.0, ("x",), (inflation,))
            early[inflation] += ours.update(ours.start(), scores, [("", 0)] * 200)[1] is not None
    assert early[1.3 / 0.7] <= 9 < early[1.0]


def test_a_change_of_spread_is_noticed() -> None:
    rng = np.random.default_rng(3)
    wider, narrower = rng.standard_normal((200, 1)) * 2.0, rng.standard_normal((200, 1)) * 0.5
    for scores in (wider, narrower):
        change = watch(scores)
        assert change is not None
        assert "spread" in change.what


def test_the_onset_and_the_descriptor_are_named() -> None:
    scores = np.random.default_rng(4).standard_normal((400, 5))
    scores[300:, 3] += 1.5
    change = watch(scores)
    assert change is not None
    assert change.column == 3
    assert change.what.startswith("x3 (mean +")
    assert abs(change.since[1] - 300) < 15


def test_what_was_not_measured_is_no_step_of_its_column() -> None:
    scores = np.random.default_rng(5).standard_normal((100, 2))
    scores[::2, 1] = np.nan
    both, alone = detector(2), detector(1)
    state, _ = both.update(both.start(), scores, [("", k) for k in range(100)])
    other, _ = alone.update(alone.start(), scores[1::2, 1:], [("", k) for k in range(50)])
    assert state.sums[len(other.sums) :] == other.sums


@given(cuts=st.lists(st.integers(0, 120), max_size=4), seed=st.integers(0, 5))
@settings(max_examples=15)
def test_how_it_is_cut_changes_nothing(cuts: list[int], seed: int) -> None:
    scores, ours = np.random.default_rng(seed).standard_normal((120, 2)), detector(2)
    scores[60:] += 1.0
    moments = [(str(k), k) for k in range(120)]
    whole, change = ours.update(ours.start(), scores, moments)
    state, steps = ours.start(), []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 120], strict=True):
        state, found = ours.update(state, scores[low:high], moments[low:high])
        steps += [low + found.step] if found else []
    assert state == whole
    assert steps[:1] == ([change.step] if change else [])


def test_extreme_scores_stay_finite_and_can_recover() -> None:
    ours = detector()
    state = ours.start()
    for _ in range(3):
        state, _ = ours.update(state, np.full((500, 1), 3.9), [("x", 0)] * 500)
    assert np.isfinite(state.sums).all()
    state, _ = ours.update(state, np.random.default_rng(0).standard_normal((600, 1)), [("x", 0)] * 600)
    assert ours.evidence(state) < 1.0
