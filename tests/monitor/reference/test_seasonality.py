from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.reference.seasonality import DAY_MS, WEEK_MS, Rhythm, find

Floats = NDArray[np.float64]


def times(days: float, events: int, seed: int = 0) -> list[int]:
    """Scattered over so many days, with fewer events in the second half of each."""
    rng = np.random.default_rng(seed)
    shares = np.sort(rng.random(3 * events) * days)
    kept = shares[rng.random(len(shares)) < np.where(shares % 1.0 < 0.5, 0.9, 0.3)]
    return [int(share * DAY_MS) for share in np.sort(rng.choice(kept, events, replace=False)).tolist()]


def noise(events: int, columns: int = 3, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal((events, columns))


def wave(at: list[int], period_ms: int) -> Floats:
    turns: Floats = np.sin(2.0 * np.pi * np.array(at) / period_ms)
    return turns


def test_a_day_is_found_in_the_descriptor_that_has_it() -> None:
    at = times(6, 2_000)
    scores = noise(len(at))
    scores[:, 1] += 0.6 * wave(at, DAY_MS)
    found = find(scores, at)
    assert found.waves == (7,)
    later = [time_ms + 20 * DAY_MS for time_ms in at]
    assert np.abs(found.expected(later)[:, 1] - 0.6 * wave(at, DAY_MS)).max() < 0.15
    assert np.abs(found.expected(later)[:, [0, 2]]).max() < 0.2


def test_a_week_is_found_where_two_were_seen() -> None:
    at = times(21, 3_000)
    scores = noise(len(at)) + 0.5 * wave(at, WEEK_MS)[:, None]
    assert find(scores, at).waves == (1,)
    early = [time_ms for time_ms in at if time_ms < 10 * DAY_MS]
    assert 1 not in find(scores[: len(early)], early).waves


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_rhythm(seed: int) -> None:
    found = find(noise(1_500, seed=seed), times(20, 1_500, seed))
    assert found.waves == ()
    assert found.parameters == 1


def test_what_neighbours_feign_is_no_rhythm() -> None:
    given = 0
    for seed in range(8):
        slow = noise(2_000, 1, seed)
        for k in range(1, len(slow)):
            slow[k] += 0.8 * slow[k - 1]
        given += len(find(slow, times(10, 2_000, seed)).waves)
    assert given <= 1


@pytest.mark.parametrize(("days", "events"), [(1.0, 2_000), (6.0, 60)])
def test_too_little_says_nothing_of_a_rhythm(days: float, events: int) -> None:
    at = times(days, events)
    assert find(noise(len(at)) + wave(at, DAY_MS)[:, None], at).waves == ()


def test_without_times_there_is_none() -> None:
    assert find(noise(500), []).waves == ()


def test_an_hour_never_seen_is_given_no_more_than_those_seen() -> None:
    at = [time_ms for time_ms in times(8, 4_000) if time_ms % DAY_MS < DAY_MS // 3]
    scores = noise(len(at), 1) + np.sign(wave(at, DAY_MS // 3))[:, None]
    found = find(scores, at)
    assert found.waves
    assert np.abs(found.expected(list(range(0, DAY_MS, DAY_MS // 500)))).max() < 1.6


def test_it_is_deterministic() -> None:
    at = times(6, 1_000)
    scores = noise(len(at)) + wave(at, DAY_MS)[:, None]
    one, other = find(scores, at), find(scores.copy(), list(at))
    assert isinstance(one, Rhythm)
    assert one.waves == other.waves
    assert (one.weights == other.weights).all()


def test_how_events_are_cut_changes_no_bit() -> None:
    at = times(6, 1_000)
    found = find(noise(len(at)) + wave(at, DAY_MS)[:, None], at)
    parts = [found.expected(at[low : low + size]) for low, size in ((0, 1), (1, 7), (8, 992))]
    assert (found.expected(at) == np.concatenate(parts)).all()
