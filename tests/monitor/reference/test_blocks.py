from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.detectors.blocks import FOR_SPREAD, Block, averages, choose_length, fill, inflation, length_for, wildness


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
    left = inflation(averages(dependent(rho, 20_000), length)[0])
    assert (left < 1.75).all()


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "expected"), [(0.0, 1.0), (0.2, 1.5), (0.5, 3.0)])
def test_the_inflation_is_that_of_long_sums(rho: float, expected: float) -> None:
    series = dependent(rho, 30_000, 5)
    assert inflation(series).mean() == pytest.approx(expected, rel=0.13)  # the weights of far neighbours fall
    long, _ = averages(series, 100)
    assert (long.var(axis=0) * 100).mean() == pytest.approx(expected, rel=0.12)


def test_slow_dependence_under_much_noise_is_seen() -> None:
    """Neighbours hardly correlate (0.1), yet sums of many vary several times more."""
    slow = dependent(0.95, 5_000, 1)
    series = np.sqrt(0.1) * slow + np.sqrt(0.9) * np.random.default_rng(1).standard_normal(slow.shape)
    assert choose_length(series) > 1


def test_how_much_events_vary_may_depend_where_their_level_does_not() -> None:
    """Short blocks are chosen for it: long ones would find a shift too late."""
    noise = np.random.default_rng(2).standard_normal((4_000, 1))
    quiet = noise * np.where(np.arange(4_000) % 500 < 250, 1.0, 0.4)[:, None]
    assert inflation(quiet)[0] < 1.5 < 4.0 < inflation(quiet**2)[0]
    assert (choose_length(noise), choose_length(quiet)) == (1, FOR_SPREAD)
    scores = quiet / quiet.std()
    assert wildness(noise)[0] < 1.15 < 1.4 < wildness(scores)[0] < 2.0


def test_weak_dependence_over_hundreds_of_events_is_seen() -> None:
    """Ten clients at a time with levels of their own, 0.5 sigma: neighbours correlate by 0.02."""
    rng = np.random.default_rng(3)
    levels, series = 0.5 * rng.standard_normal(10), np.empty((4_000, 1))
    for k, client in enumerate(rng.integers(0, 10, 4_000)):
        series[k] = levels[client] + rng.standard_normal()
        if rng.random() < 1 / 30:
            levels[client] = 0.5 * rng.standard_normal()
    assert inflation(series)[0] > 2.0


def test_what_was_left_out_is_no_neighbour() -> None:
    series = dependent(0.6, 20_000, 1)
    places = np.flatnonzero(np.arange(len(series)) // 40 % 5 == 0)
    kept = series[places]
    means, numbers = averages(kept, 10, places)
    assert len(means) == len(kept) // 10
    assert set(np.unique(np.diff(numbers)).tolist()) == {1, 17}
    assert inflation(kept, places) == pytest.approx(inflation(series), rel=0.25)
    assert choose_length(kept, places) > 1


def test_no_variation_is_no_dependence() -> None:
    assert inflation(np.zeros((100, 2))).tolist() == [1.0, 1.0]
    assert inflation(np.zeros((1, 2))).tolist() == [1.0, 1.0]
    assert choose_length(np.zeros((100, 2))) == 1


@given(cuts=st.lists(st.integers(0, 43), max_size=4))
def test_blocks_are_filled_alike_however_events_are_cut(cuts: list[int]) -> None:
    rows = np.random.default_rng(3).standard_normal((43, 2))
    rows[7, 1] = rows[20] = np.nan
    moments = [(str(k), k) for k in range(43)]
    whole = fill(Block(), 5, rows, moments)
    block, means, firsts, ends = Block(), [], [], []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 43], strict=True):
        block, some, began, full = fill(block, 5, rows[low:high], moments[low:high])
        means += some.tolist()
        firsts += began
        ends += [low + end for end in full]
    assert (block, means, firsts, ends) == (whole[0], whole[1].tolist(), whole[2], whole[3])
    assert len(means) == 41 // 5
    assert means[1] == pytest.approx(rows[[5, 6, 8, 9, 10]].mean(axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("rho", [0.0, 0.2, 0.6])
def test_what_dependence_costs_is_as_told(rho: float) -> None:
    length, sigma = length_for(rho, 2_000)
    means, _ = averages(dependent(rho, 60_000, 1), length)
    known = float(means.std() * np.sqrt(inflation(means)[0]))  # a reference only estimates it: a little more
    assert 0.97 * known < sigma < 1.15 * known


def test_an_autocorrelation_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"autocorrelation is 1\.0, expected 0 to below 1"):
        length_for(1.0, 2_000)
