from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detectors import risk
from monitor.detectors.mean_bound import STEPS, levels, upper_bound
from tests.monitor.support.graded import graded

losses = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60)


def bound(some: list[float], worth: int | None = None, confidence: float = 0.9) -> float:
    return upper_bound(levels(some), len(some) if worth is None else worth, confidence)


@given(losses)
def test_levels_keep_number_and_mean(some: list[float]) -> None:
    held = levels(some)
    assert len(held) == STEPS + 1
    assert sum(held) == pytest.approx(len(some), abs=1e-4)
    assert sum(weight * at / STEPS for at, weight in enumerate(held)) == pytest.approx(sum(some), abs=1e-4)


@given(losses, st.floats(0.5, 0.99))
def test_a_bound_lies_above_the_mean_and_higher_with_confidence_and_with_less_worth(
    some: list[float], confidence: float
) -> None:
    found = bound(some, confidence=confidence)
    assert sum(some) / len(some) - 1e-6 <= found <= 1.0
    assert found <= bound(some, confidence=0.995)
    assert found <= bound(some, max(1, len(some) // 3), confidence)


def test_without_losses_nothing_is_excluded() -> None:
    assert bound([]) == bound([0.5], 0) == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "sd"), [(0.48, 0.15), (0.6, 0.1), (0.1, 0.2), (0.02, 0.05)])
@pytest.mark.parametrize("count", [30, 200])
def test_it_misses_the_mean_more_seldom_than_allowed(count: int, mean: float, sd: float) -> None:
    """At 0.9 a bound may be too low in a tenth of the references."""
    rng = np.random.default_rng(1)
    assert sum(bound(graded(rng, count, mean, sd)) < mean for _ in range(500)) <= 50


@pytest.mark.slow
def test_it_holds_for_losses_of_0_and_1_too() -> None:
    rng = np.random.default_rng(2)
    assert sum(bound((rng.random(100) < 0.1).astype(float).tolist()) < 0.1 for _ in range(500)) <= 50


@pytest.mark.parametrize(("mean", "sd"), [(0.48, 0.15), (0.6, 0.1)])
def test_losses_that_lie_close_together_make_it_tighter_than_the_binomial_one(mean: float, sd: float) -> None:
    some = graded(np.random.default_rng(3), 200, mean, sd)
    binomial = risk.upper_bound(math.ceil(sum(some)), len(some), 0.9)
    assert bound(some) - np.mean(some) < 0.6 * (binomial - np.mean(some))
