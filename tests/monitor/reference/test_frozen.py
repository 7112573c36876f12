from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.describe.descriptors import MISSING
from monitor.reference.frozen import Reference, event_scores, freeze, scorer
from monitor.reference.seasonality import DAY_MS


def made(values: NDArray[np.floating[Any]], names: tuple[str, ...] = ("x",)) -> Reference:
    return freeze(names, values.tolist(), list(range(len(values))))


def test_the_digest_names_the_content() -> None:
    values = np.arange(100.0).reshape(-1, 1)
    assert made(values).digest == made(values).digest
    assert made(values).digest != made(values + 1).digest
    assert made(values).digest != made(values, ("y",)).digest


@pytest.mark.slow
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_scores_are_finite_and_rise_with_the_value(values: list[float]) -> None:
    ready = scorer(made(np.random.default_rng(1).standard_normal((60, 1))))
    scores = event_scores(ready, np.array(sorted(values)).reshape(-1, 1), [5] * len(values))
    assert np.isfinite(scores).all()
    assert (np.diff(scores[:, 0]) >= 0).all()


def test_normal_scores_of_healthy_events_are_standard_normal_even_with_ties() -> None:
    rng = np.random.default_rng(2)
    ready = scorer(made(rng.integers(0, 5, (2_000, 1)).astype(np.float64)))
    scores = event_scores(ready, rng.integers(0, 5, (4_000, 1)).astype(np.float64), list(range(9_000, 13_000)))
    assert abs(scores.mean()) < 0.08
    assert abs(scores.std() - 1) < 0.05


def test_ties_are_broken_the_same_way_every_time_and_for_every_cut() -> None:
    ready = scorer(made(np.zeros((100, 1))))
    whole = event_scores(ready, np.zeros((10, 1)), list(range(10)))
    parts = [event_scores(ready, np.zeros((5, 1)), list(range(k, k + 5))) for k in (0, 5)]
    assert (whole == np.concatenate(parts)).all()
    assert len(np.unique(whole)) > 5


def test_a_confidence_that_stops_coming_is_no_evidence() -> None:
    rng = np.random.default_rng(3)
    ready = scorer(made(-np.abs(rng.standard_normal((500, 1))), ("confidence_min",)))
    scores = event_scores(ready, np.full((2_000, 1), MISSING), list(range(2_000)))
    assert abs(scores.mean()) < 0.08
    assert abs(scores.std() - 1) < 0.08


def rhythmic(events: int, seed: int = 4) -> tuple[NDArray[np.float64], list[int]]:
    """Four days of a value that is higher by day."""
    times = (np.arange(events) * (4 * DAY_MS / events)).astype(np.int64)
    daily = np.sin(2.0 * np.pi * times / DAY_MS)
    values = np.random.default_rng(seed).standard_normal(events) + daily
    return values.reshape(-1, 1), times.tolist()


def test_an_evening_is_compared_with_evenings() -> None:
    values, times = rhythmic(2_000)
    prints = list(range(2_000))
    known, unknown = (scorer(freeze(("x",), values.tolist(), prints, at)) for at in (times, []))
    later, when = rhythmic(4_000, seed=5)
    fresh = list(range(10_000, 14_000))
    calm = event_scores(known, later, fresh, [4 * DAY_MS + time_ms for time_ms in when])
    swinging = event_scores(unknown, later, fresh)
    noon = [i for i, time_ms in enumerate(when) if 0.15 < time_ms % DAY_MS / DAY_MS < 0.35]
    assert abs(calm[noon].mean()) < 0.1 < 0.5 < swinging[noon].mean()
    assert abs(calm.std() - 1.0) < 0.08
    assert (known.block, unknown.block > 1) == (1, True)
    assert known.size < 2_000


def test_a_reference_with_a_rhythm_must_be_told_when() -> None:
    values, times = rhythmic(2_000)
    known = scorer(freeze(("x",), values.tolist(), list(range(2_000)), times))
    with pytest.raises(ValueError, match="times_ms has 0 values, expected 1: the reference has a rhythm"):
        event_scores(known, values[:1], [1])


def test_a_confidence_that_stops_coming_is_no_evidence_in_a_rhythm_either() -> None:
    values, times = rhythmic(2_000)
    known = scorer(freeze(("confidence_min",), (-np.exp(values)).tolist(), list(range(2_000)), times))
    assert known.rhythm.waves
    scores = event_scores(known, np.full((2_000, 1), MISSING), list(range(2_000)), times)
    assert abs(scores.mean()) < 0.08
    assert abs(scores.std() - 1) < 0.08


def test_a_reference_stored_before_times_were_kept_still_loads() -> None:
    values = np.random.default_rng(6).standard_normal((100, 1))
    frozen = made(values)
    stored = msgspec.to_builtins(frozen)
    del stored["times_ms"], stored["places"]
    loaded = msgspec.convert(stored, Reference)
    assert loaded == frozen
    before = hashlib.sha256(b"x" + values.astype("<f8").tobytes() + np.arange(100, dtype="<u8").tobytes())
    assert loaded.digest == before.hexdigest()
    assert freeze(("x",), values.tolist(), list(range(100)), list(range(100))).digest != loaded.digest


def test_a_column_of_another_length_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="times_ms has 2 values, expected 3: one for each row"):
        freeze(("x",), [[1.0]] * 3, [1, 2, 3], [1, 2])


def test_what_was_left_out_of_a_sample_is_no_neighbour() -> None:
    rng = np.random.default_rng(7)
    stretches = np.repeat(rng.standard_normal((50, 1)), 40, axis=0) + 0.3 * rng.standard_normal((2_000, 1))
    places = [40 * (3 * (k // 40)) + k % 40 for k in range(2_000)]
    frozen = freeze(("x",), stretches.tolist(), list(range(2_000)), [], places)
    assert scorer(frozen).block == 20  # half a stretch: no longer one has a neighbour
    assert scorer(frozen).inflation[0] > 1.2


def test_a_dead_zone_is_for_the_run_length_that_is_asked() -> None:
    ready = scorer(made(np.random.default_rng(8).standard_normal((500, 3)), ("a", "b", "c")))
    zones = [ready.dead_zone(arl) for arl in (1_000, 100_000, 10_000_000)]
    assert zones == sorted(set(zones))
    assert zones[-1] < 3.0 / np.sqrt(500)
