from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.descriptors import MISSING
from monitor.reference import Reference, event_scores, freeze, scorer


def made(values: NDArray[np.floating[Any]], names: tuple[str, ...] = ("x",)) -> Reference:
    return freeze(names, values.tolist(), list(range(len(values))))


def test_the_digest_names_the_content() -> None:
    values = np.arange(100.0).reshape(-1, 1)
    assert made(values).digest == made(values).digest
    assert made(values).digest != made(values + 1).digest
    assert made(values).digest != made(values, ("y",)).digest


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
