"""Every detector keeps what `monitor.detectors.interface` promises."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.random import Generator

from monitor.detectors.categories import learned
from monitor.detectors.interface import Detector
from monitor.detectors.location_spread import LocationSpread
from monitor.detectors.risk import Risk
from monitor.detectors.texts import Texts
from tests.monitor.support.cusum import Cusum
from tests.monitor.support.graded import graded
from tests.monitor.support.page_hinkley import PageHinkley

ARL = 500
Values = Any


@dataclass(frozen=True)
class DetectorCase:
    """A detector at ARL, values that are healthy and values that are not, and what it takes for not measured."""

    detector: Detector[Any, Any]
    healthy: Callable[[Generator, int], Values]
    harmed: Callable[[Generator, int], Values]
    missing: Values  # two values
    refused: Values | None = None
    guaranteed: bool = True


def prints(rng: Generator, count: int, share: float = 0.5) -> list[int]:
    octets = np.packbits(rng.random((count, 64)) < share, axis=1)
    return [int.from_bytes(row.tobytes(), "big") for row in octets]


def labels(rng: Generator, count: int, refunds: float = 0.8) -> list[str]:
    return ["refund" if draw < refunds else "late" for draw in rng.random(count).tolist()]


REFERENCE = np.random.default_rng(1)
CASES = {
    "location and spread": DetectorCase(
        LocationSpread(ARL, 0.02, ("a", "b")),
        lambda rng, n: rng.standard_normal((n, 2)),
        lambda rng, n: rng.standard_normal((n, 2)) + np.array([1.0, 0.0]),
        np.full((2, 2), np.nan),
        np.array([[0.0, 0.0], [np.inf, 0.0]]),
    ),
    "risk": DetectorCase(
        Risk(0.1, ARL),
        lambda rng, n: (rng.random(n) < 0.1).astype(float).tolist(),
        lambda rng, n: (rng.random(n) < 0.5).astype(float).tolist(),
        [float("nan")] * 2,
        [0.0, 1.5],
    ),
    "risk of graded losses": DetectorCase(
        Risk(0.5, ARL, graded=True),
        lambda rng, n: graded(rng, n, 0.5, 0.15),
        lambda rng, n: graded(rng, n, 0.7, 0.15),
        [float("nan")] * 2,
        [0.0, 1.5],
    ),
    "categories": DetectorCase(
        learned({"refund": 1_600, "late": 400}, arl=ARL),
        labels,
        lambda rng, n: labels(rng, n, 0.4),
        [None, None],
    ),
    "texts": DetectorCase(
        Texts(ARL, tuple(prints(REFERENCE, 1_000))),
        prints,
        lambda rng, n: prints(rng, n, 0.65),
        [None, None],
        [1, 2**64],
    ),
    "CUSUM": DetectorCase(
        Cusum(ARL),
        lambda rng, n: rng.standard_normal(n),
        lambda rng, n: rng.standard_normal(n) + 1.0,
        np.full(2, np.nan),
        np.array([0.0, -np.inf]),
    ),
    "Page-Hinkley": DetectorCase(
        PageHinkley(threshold=20.0),
        lambda rng, n: rng.standard_normal(n),
        lambda rng, n: np.append(rng.standard_normal(50), rng.standard_normal(n - 50) + 1.0),
        np.full(2, np.nan),
        np.array([0.0, np.inf]),
        guaranteed=False,
    ),
}


def cases(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [CASES[name] for name in names], ids=names)


each_case = cases(*CASES)


def moments(count: int, first: int = 0) -> list[tuple[str, int]]:
    return [(str(k), k) for k in range(first, first + count)]


def run(case: DetectorCase, values: Values) -> tuple[Any, int | None]:
    state, change = case.detector.update(case.detector.start(), values, moments(len(values)))
    return state, change.step if change else None


def cut(case: DetectorCase, values: Values, cuts: Sequence[int]) -> tuple[Any, int | None]:
    state, steps = case.detector.start(), []
    for low, high in zip([0, *cuts], [*cuts, len(values)], strict=True):
        state, change = case.detector.update(state, values[low:high], moments(high - low, low))
        steps += [low + change.step] if change else []
    return state, steps[0] if steps else None


@cases(*(name for name, case in CASES.items() if case.guaranteed))
def test_a_tenth_of_the_run_length_is_seldom_too_long(case: DetectorCase) -> None:
    """Of 60 healthy runs of ARL / 10 steps, an exponential run length would stop 5.7."""
    rng = np.random.default_rng(7)
    stopped = [run(case, case.healthy(rng, ARL // 10))[1] for _ in range(60)]
    assert sum(step is not None for step in stopped) <= 10


@each_case
def test_harm_is_found_and_dated(case: DetectorCase) -> None:
    rng = np.random.default_rng(3)
    values = case.harmed(rng, 400)
    state, change = case.detector.update(case.detector.start(), values, moments(400))
    assert change is not None
    assert change.what
    assert int(change.since[0]) <= change.step
    assert case.detector.evidence(state) > 0


@each_case
def test_how_it_is_cut_changes_nothing(case: DetectorCase) -> None:
    values = case.harmed(np.random.default_rng(4), 120)
    whole = run(case, values)
    for cuts in ([1], [3, 4, 50], [60, 60, 61, 119], list(range(1, 120))):
        assert cut(case, values, cuts) == whole


@each_case
def test_the_state_goes_through_json_bit_for_bit(case: DetectorCase) -> None:
    state, _ = run(case, case.harmed(np.random.default_rng(5), 77))
    assert msgspec.json.decode(msgspec.json.encode(state), type=type(state)) == state


@each_case
def test_a_state_kept_is_a_copy_and_a_start_a_reset(case: DetectorCase) -> None:
    values = case.harmed(np.random.default_rng(6), 90)
    state, _ = run(case, values[:60])
    kept = copy.deepcopy(state)
    once = case.detector.update(state, values[60:], moments(30, 60))
    assert state == kept
    assert case.detector.update(kept, values[60:], moments(30, 60)) == once
    assert case.detector.evidence(case.detector.start()) == 0.0
    assert run(case, values) == run(case, values)


@each_case
def test_nothing_is_no_evidence(case: DetectorCase) -> None:
    state, _ = run(case, case.harmed(np.random.default_rng(8), 60))
    assert case.detector.update(state, case.missing[:0], []) == (state, None)


@each_case
def test_what_was_not_measured_is_no_evidence(case: DetectorCase) -> None:
    state, _ = run(case, case.healthy(np.random.default_rng(9), 60))
    before = case.detector.evidence(state)
    for _ in range(100):
        state, change = case.detector.update(state, case.missing, moments(2, 60))
        assert change is None
    assert case.detector.evidence(state) == before


@cases(*(name for name, case in CASES.items() if case.refused is not None))
def test_what_no_sender_may_send_is_refused_by_name(case: DetectorCase) -> None:
    with pytest.raises(ValueError, match=r"of step 1 is .*(1\.5|inf|18446744073709551616), expected"):
        case.detector.update(case.detector.start(), case.refused, moments(2))
