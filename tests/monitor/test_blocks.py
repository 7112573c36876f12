from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor import blocks
from monitor.blocks import TOLERATED, averages, choose_length, first_of_bursts, length_for, neighbour_correlation


def dependent(rho: float, events: int = 2_000, columns: int = 3) -> NDArray[np.float64]:
    noise = np.random.default_rng(5).standard_normal((events, columns))
    series = noise.copy()
    for k in range(1, events):
        series[k] = rho * series[k - 1] + np.sqrt(1 - rho**2) * noise[k]
    return series


def test_independent_events_are_not_averaged() -> None:
    assert choose_length(dependent(0.0)) == 1


@pytest.mark.parametrize("rho", [0.25, 0.4, 0.6])
def test_the_block_is_long_enough_for_the_dependence(rho: float) -> None:
    series = dependent(rho)
    length = choose_length(series)
    assert length > 1
    left = neighbour_correlation(blocks.averages(dependent(rho, 50_000), length)).max()
    assert left < 0.2


def test_a_burst_counts_once_however_it_is_cut() -> None:
    clients, texts = ["a", "a", "b", "a", "a"], [7, 7, 7, 6, 2**64 - 1]
    fresh, _ = first_of_bursts(clients, texts, {})
    assert fresh == [True, False, True, False, True]
    first, seen = first_of_bursts(clients[:1], texts[:1], {})
    assert first + first_of_bursts(clients[1:], texts[1:], seen)[0] == [True, False, True, False, True]


def test_clients_heard_last_are_kept() -> None:
    names = [f"c{i}" for i in range(blocks.CLIENTS_KEPT + 5)]
    _, few = first_of_bursts(names[:300], list(range(300)), {})
    assert list(few) == names[:300]
    _, seen = first_of_bursts(names, list(range(len(names))), {})
    assert list(seen) == names[5:]


def test_without_fingerprints_nothing_is_a_burst() -> None:
    assert first_of_bursts(["a", "a"], [], {}) == ([True, True], {})


@pytest.mark.parametrize("rho", [0.0, 0.2, 0.6])
def test_averages_of_an_autocorrelated_stream_are_as_told(rho: float) -> None:
    length, spread = length_for(rho)
    rng = np.random.default_rng(2)
    shocks = rng.standard_normal(200_000) * np.sqrt(1 - rho**2)
    values = np.empty_like(shocks)
    values[0] = rng.standard_normal()
    for k in range(1, len(shocks)):
        values[k] = rho * values[k - 1] + shocks[k]
    blocks = averages(values[:, None], length)
    assert blocks.std() == pytest.approx(spread, rel=0.03)
    assert neighbour_correlation(blocks)[0] <= TOLERATED + 0.02
