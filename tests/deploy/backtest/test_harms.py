from __future__ import annotations

import numpy as np
import pytest

from deploy.backtest.harms import HarmPeriod, Labels, harms, stretch
from tests.monitor.support.graded import graded


def labels(*parts: tuple[int, float], seed: int = 0) -> Labels:
    """Labels a second apart: so many, with so large a share wrong."""
    rng = np.random.default_rng(seed)
    wrong = np.concatenate([rng.random(count) < rate for count, rate in parts]).astype(np.float64)
    return Labels(1_000 * np.arange(len(wrong)), wrong)


def found(*parts: tuple[int, float], tolerance: float = 0.03, seed: int = 0) -> list[HarmPeriod]:
    return harms("v1", labels(*parts, seed=seed), tolerance)


@pytest.mark.slow
def test_chance_is_rarely_taken_for_harm() -> None:
    """RequestedRetraining for: at most 1 in 100 healthy histories."""
    assert sum(bool(found((400, 0.1), seed=seed)) for seed in range(200)) <= 4


def test_harm_is_found_where_it_began_and_ended() -> None:
    (harm,) = found((600, 0.05), (200, 0.5), (600, 0.05))
    assert harm.onset_ms == pytest.approx(600_000, abs=10_000)
    assert harm.end_ms == pytest.approx(800_000, abs=10_000)
    assert harm.loss == pytest.approx(0.5, abs=0.1)
    assert harm.usual_loss == pytest.approx(0.05, abs=0.02)


def test_harm_that_goes_on_ends_with_the_last_label() -> None:
    (harm,) = found((600, 0.05), (200, 0.5))
    assert harm.end_ms >= 795_000


def test_losses_that_lie_close_together_show_a_small_rise() -> None:
    """By 0.1 of ROUGE-L: as right and wrong it would be chance."""
    rng = np.random.default_rng(3)
    parts = [graded(rng, 300, 0.48, 0.15), graded(rng, 200, 0.58, 0.15), graded(rng, 300, 0.48, 0.15)]
    losses = np.concatenate(parts)
    (harm,) = harms("v1", Labels(1_000 * np.arange(800), losses), 0.03)
    assert harm.onset_ms == pytest.approx(300_000, abs=30_000)
    assert (harm.loss, harm.usual_loss) == pytest.approx((0.58, 0.48), abs=0.02)


@pytest.mark.slow
def test_chance_makes_no_harm_of_graded_losses_either() -> None:
    rng = np.random.default_rng(4)
    found = [harms("v1", Labels(np.arange(400), np.array(graded(rng, 400, 0.48, 0.15))), 0.0) for _ in range(200)]
    assert sum(map(bool, found)) <= 4


def test_two_harms_are_two() -> None:
    onsets = [each.onset_ms for each in found((500, 0.05), (150, 0.6), (500, 0.05), (150, 0.6), (500, 0.05))]
    assert onsets == pytest.approx([500_000, 1_150_000], abs=10_000)


def test_what_the_tolerance_allows_is_no_harm() -> None:
    parts = (4_000, 0.05), (4_000, 0.10)
    assert len(found(*parts)) == 1
    assert found(*parts, tolerance=0.2) == []


def test_improvement_is_no_harm() -> None:
    """The worse time before it is."""
    (harm,) = found((200, 0.5), (600, 0.05))
    assert harm.onset_ms < 10_000


@pytest.mark.slow
def test_the_grid_finds_what_every_pair_of_labels_would() -> None:
    wrong = labels((900, 0.05), (300, 0.3), (900, 0.05)).losses
    best = max((ratio(wrong, first, end), first, end) for first in range(800, 1_000) for end in range(1_100, 1_300))
    first, end, value = stretch(wrong) or (0, 0, 0.0)
    assert value == pytest.approx(best[0], abs=0.5)
    assert abs(first - best[1]) <= 14
    assert abs(end - best[2]) <= 14


def ratio(wrong: np.ndarray, first: int, end: int) -> float:
    def fit(part: np.ndarray) -> float:
        bad, many = part.sum(), len(part)
        share = min(max(bad / many, 1e-12), 1 - 1e-12)
        return float(bad * np.log(share) + (many - bad) * np.log1p(-share))

    return fit(wrong[first:end]) + fit(np.concatenate([wrong[:first], wrong[end:]])) - fit(wrong)


@pytest.mark.parametrize("parts", [[], [(9, 1.0)], [(50, 0.0)], [(50, 1.0)]])
def test_little_or_uniform_history_shows_no_harm(parts: list[tuple[int, float]]) -> None:
    assert harms("v1", labels(*parts) if parts else Labels(np.empty(0, np.int64), np.empty(0)), 0.03) == []
