from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from monitor.budget import (
    AliasTraffic,
    BudgetPart,
    EventStream,
    days_between,
    smallest_drift,
    smallest_rate,
    smallest_shift,
    split,
)
from monitor.detectors.location_spread import LocationSpread
from monitor.detectors.risk import Risk

TRAFFIC = AliasTraffic(events=20_000, labels=300, judged=2_000, aliases=4, tags=2)


def test_the_parts_add_up_to_what_was_asked() -> None:
    parts = split(14, TRAFFIC)
    assert math.isclose(days_between(parts, traffic=TRAFFIC), 14)
    assert math.fsum(part.share for part in parts) == pytest.approx(1)


def test_a_detector_that_never_steps_costs_nothing() -> None:
    quiet = AliasTraffic(events=0, labels=0)
    assert days_between([BudgetPart("drift", 1.0, 0.0, 100)], traffic=quiet) == math.inf


def test_what_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"AliasTraffic\.events is -1, expected"):
        AliasTraffic(events=-1, labels=0)
    with pytest.raises(ValueError, match=r"AliasTraffic\.aliases is 0, expected"):
        AliasTraffic(events=1, labels=0, aliases=0)
    with pytest.raises(ValueError, match=r"days is 0, expected"):
        split(0, TRAFFIC)
    with pytest.raises(ValueError, match=r"shares are .*expected positive ones that add up to 1"):
        split(1, TRAFFIC, {"drift": 0.5})


@pytest.mark.slow
@pytest.mark.parametrize("common", [0.0, 0.7, 1.0])
def test_one_budget_holds_however_the_streams_depend(common: float) -> None:
    """Six aliases, 100 runs of a tenth of the days asked for: 9.5 would stop if the budget were just used up."""
    count, days, events = 6, 10.0, 100.0
    (part,) = split(days, AliasTraffic(events=events, labels=0, aliases=count), {"drift": 1.0})
    detector, rng, horizon = LocationSpread(part.arl, 0.0, ("x",)), np.random.default_rng(3), int(days * events / 10)
    stopped = 0
    for _ in range(100):
        shared = rng.standard_normal((horizon, 1))
        streams = common * shared + math.sqrt(1.0 - common**2) * rng.standard_normal((horizon, count))
        stopped += any(detector.update(detector.start(), streams[:, [j]], [("", 0)] * horizon)[1] for j in range(count))
    assert stopped <= 16


@pytest.mark.slow
def test_the_smallest_shift_is_found_in_about_the_time() -> None:
    steps, detector = 100, LocationSpread(10_000, 0.02, ("a", "b", "c"))
    shift = smallest_shift(10_000, steps, descriptors=3, dead_zone=0.02)
    assert shift is not None
    rng = np.random.default_rng(4)
    delays = []
    for _ in range(40):
        scores = rng.standard_normal((600, 3))
        scores[:, 1] += shift
        change = detector.update(detector.start(), scores, [("", 0)] * 600)[1]
        delays.append(change.step + 1 if change else 600)
    assert 0.5 * steps < np.mean(delays) < 1.15 * steps


def test_what_the_plan_tells_of_dependence_and_rhythm_is_what_is_found() -> None:
    calm = EventStream(descriptors=15, reference=2_000)
    found = [
        smallest_drift(10_000, 300, each)
        for each in (calm, replace(calm, waves=3), replace(calm, autocorrelation=0.4), replace(calm, reference=300))
    ]
    assert None not in found
    assert all(cost > found[0] for cost in found[1:])  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"EventStream\.waves is -1, expected at least 0"):
        replace(calm, waves=-1)
    with pytest.raises(ValueError, match=r"EventStream\.share is 0\.0, expected above 0"):
        replace(calm, share=0.0)


def test_the_smallest_rate_is_found_in_about_the_time() -> None:
    labels, detector = 60, Risk(0.1, 10_000)
    rate = smallest_rate(10_000, 0.1, labels)
    assert rate is not None
    rng = np.random.default_rng(5)
    delays = []
    for _ in range(100):
        losses = (rng.random(500) < rate).astype(float).tolist()
        harm = detector.update(detector.start(), losses, [("", 0)] * 500)[1]
        delays.append(harm.step + 1 if harm else 500)
    assert 0.6 * labels < np.mean(delays) < 1.15 * labels


def test_what_is_too_little_finds_nothing() -> None:
    assert smallest_shift(1e9, 1, descriptors=15, dead_zone=0.05) is None
    assert smallest_rate(1e9, 0.1, 2) is None
