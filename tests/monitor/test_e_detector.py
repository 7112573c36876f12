from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor import e_detector
from monitor.e_detector import Change, Detector, State, start, update

Floats = NDArray[np.float64]
DETECTOR = Detector(arl=1_000, dead_zone=0.02)


def watch(detector: Detector, scores: Floats) -> Change | None:
    moments = [(str(k), k) for k in range(len(scores))]
    return update(detector, start(scores.shape[1]), scores, moments)[1]


def delays(shift: float, detector: Detector, runs: int, horizon: int, columns: int = 1) -> list[int]:
    rng = np.random.default_rng(11)
    found = [watch(detector, rng.standard_normal((horizon, columns)) + shift) for _ in range(runs)]
    return [each.step + 1 if each else horizon for each in found]


def test_healthy_events_fire_no_more_often_than_asked() -> None:
    """100 runs of 300 steps at ARL 1,000: an exponential run length would stop 26 of them."""
    assert sum(delay < 300 for delay in delays(0.0, DETECTOR, 100, 300)) <= 26


def test_one_budget_for_many_descriptors() -> None:
    assert sum(delay < 150 for delay in delays(0.0, DETECTOR, 60, 150, columns=12)) <= 10


@pytest.mark.parametrize(("shift", "within"), [(0.5, 80), (1.0, 25), (-1.0, 25)])
def test_delay_at_ten_thousand_events_between_false_alarms(shift: float, within: int) -> None:
    assert np.median(delays(shift, Detector(10_000, 0.022), 30, 400)) <= within


def test_a_change_of_spread_is_noticed() -> None:
    rng = np.random.default_rng(3)
    wider, narrower = rng.standard_normal((200, 1)) * 2.0, rng.standard_normal((200, 1)) * 0.5
    for scores in (wider, narrower):
        change = watch(DETECTOR, scores)
        assert change is not None
        assert "spread" in change.alternative


def test_the_onset_and_the_descriptor_are_named() -> None:
    scores = np.random.default_rng(4).standard_normal((400, 5))
    scores[300:, 3] += 1.5
    change = watch(DETECTOR, scores)
    assert change is not None
    assert change.descriptor == 3
    assert change.alternative.startswith("mean +")
    assert abs(change.since[1] - 300) < 15


def test_nothing_seen_says_nothing() -> None:
    state, change = update(DETECTOR, start(3), np.empty((0, 3)), [])
    assert (state, change) == (start(3), None)


@given(cuts=st.lists(st.integers(0, 120), max_size=4), seed=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_how_it_is_cut_changes_nothing(cuts: list[int], seed: int) -> None:
    scores = np.random.default_rng(seed).standard_normal((120, 2))
    scores[60:] += 1.0
    moments = [(str(k), k) for k in range(120)]
    whole, change = update(DETECTOR, start(2), scores, moments)
    state, steps = start(2), []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 120], strict=True):
        state, found = update(DETECTOR, state, scores[low:high], moments[low:high])
        steps += [low + found.step] if found else []
    assert state == whole
    assert steps[:1] == ([change.step] if change else [])


def test_the_state_survives_json_bit_for_bit() -> None:
    scores = np.random.default_rng(9).standard_normal((50, 2)) * 3
    state, _ = update(DETECTOR, start(2), scores, [(str(k), k) for k in range(50)])
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state


def test_extreme_scores_stay_finite_and_can_recover() -> None:
    state = start(1)
    for _ in range(3):
        state, _ = update(DETECTOR, state, np.full((500, 1), 3.9), [("x", 0)] * 500)
    assert np.isfinite(state.sums).all()
    state, _ = update(DETECTOR, state, np.random.default_rng(0).standard_normal((600, 1)), [("x", 0)] * 600)
    assert e_detector.statistic(state) < DETECTOR.arl
