from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.detectors.risk import ProvenHarm, Risk, State, statistic, upper_bound


def update(
    limit: Risk, state: State, losses: list[float], moments: list[tuple[str, int]]
) -> tuple[State, ProvenHarm | None]:
    return limit.update(state, losses, moments)


def labels_until(limit: Risk, rate: float, seed: int, horizon: int) -> int:
    losses = (np.random.default_rng(seed).random(horizon) < rate).astype(float).tolist()
    _, harm = update(limit, State(), losses, [("", 0)] * horizon)
    return harm.step + 1 if harm else horizon


@pytest.mark.parametrize(
    ("rate", "asked", "horizon", "within"),
    [(0.1, 0.2, 800, 142), (0.1, 0.4, 200, 30), (0.1, 0.7, 60, 12), (0.13, 0.4, 200, 38), (0.13, 0.7, 60, 14)],
)
def test_delay_of_proven_harm(rate: float, asked: float, horizon: int, within: int) -> None:
    limit = Risk(rate, 10_000)
    assert np.median([labels_until(limit, asked, seed, horizon) for seed in range(40)]) <= within


def test_at_the_limit_false_alarms_are_as_rare_as_asked() -> None:
    """60 runs of 200 labels at ARL 1,000: an exponential run length would stop 11 of them."""
    stopped = sum(labels_until(Risk(0.1, 1_000), 0.1, seed, 200) < 200 for seed in range(60))
    assert stopped <= 11


def test_every_bet_is_fair_at_the_limit() -> None:
    for rate in (0.02, 0.1, 0.5, 0.99):
        right, wrong = (update(Risk(rate, 1e9), State(), [loss], [("", 0)])[0] for loss in (0.0, 1.0))
        for low, high in zip(right.walks, wrong.walks, strict=True):
            assert low.total > 0
            assert (1 - rate) * low.total + rate * high.total == pytest.approx(1.0)


def test_the_onset_is_where_it_went_wrong() -> None:
    losses = [0.0] * 100 + [1.0, 0.0] * 30
    _, harm = update(Risk(0.1, 10_000), State(), losses, [(str(k), k) for k in range(len(losses))])
    assert harm is not None
    assert harm.since == ("100", 100)
    assert (harm.before, harm.count) == (100, harm.step - 99)


@given(st.integers(0, 40), st.integers(1, 40))
def test_the_upper_bound_is_clopper_and_pearsons(errors: int, more: int) -> None:
    labels = errors + more
    bound = upper_bound(errors, labels, 0.9)
    tail = sum(math.comb(labels, k) * bound**k * (1 - bound) ** (labels - k) for k in range(errors + 1))
    assert errors / labels < bound < 1
    assert tail == pytest.approx(0.1, abs=1e-6)


def test_all_wrong_has_no_upper_bound_but_one() -> None:
    assert upper_bound(10, 10, 0.9) == 1.0
    assert upper_bound(0, 0, 0.9) == 1.0


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_how_it_is_cut_changes_nothing(wrong: list[bool], cut: int) -> None:
    losses, moments = [float(each) for each in wrong], [(str(k), k) for k in range(len(wrong))]
    whole, _ = update(Risk(0.1, 100), State(), losses, moments)
    half, _ = update(Risk(0.1, 100), State(), losses[:cut], moments[:cut])
    assert update(Risk(0.1, 100), half, losses[cut:], moments[cut:])[0] == whole
    assert msgspec.json.decode(msgspec.json.encode(whole), type=State) == whole
    assert math.isfinite(statistic(whole))
