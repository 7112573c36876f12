"""Categories and texts of events that depend on each other are judged in blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.random import Generator

from monitor.detectors.categories import Categories, learned
from monitor.detectors.texts import Texts

ARL = 300.0
BLOCK = 20


def sticky(rng: Generator, count: int, share: float = 0.2, change: float = 0.2) -> list[str]:
    """Late with this share, and seldom alone: a new draw only every few events."""
    fresh = rng.random(count) < change
    draws = rng.random(count) < share
    held = np.maximum.accumulate(np.where(fresh, np.arange(count), 0))
    return ["late" if late else "refund" for late in draws[held].tolist()]


def fired(detector: Categories, events: Sequence[str], length: int) -> bool:
    steps = len(events) // length
    _, change = detector.update(detector.start(), events, [("", k) for k in range(steps)], length)
    return change is not None


def early(size: int) -> int:
    """Of 60 streams as long as a tenth of what is asked for, how many fire."""
    found = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        events = sticky(rng, 20_000)
        detector = learned({"late": events.count("late"), "refund": events.count("refund")}, arl=ARL)
        found += fired(detector, sticky(rng, size * int(ARL / 10)), size)
    return found


@pytest.mark.slow
def test_in_blocks_the_budget_holds_where_single_events_break_it() -> None:
    assert early(1) > 15
    assert early(BLOCK) <= 10


def test_a_change_is_found_in_blocks_too() -> None:
    rng = np.random.default_rng(1)
    detector = learned({"late": 400, "refund": 1_600}, arl=ARL)
    assert fired(detector, sticky(rng, 2_000, share=0.5), BLOCK)


def test_of_what_is_not_known_a_step_has_no_share_and_a_step_of_nothing_is_none() -> None:
    detector = learned({"late": 40, "refund": 160}, arl=ARL)
    one, other = (
        detector.update(detector.start(), events, [("0", 0)], len(events))[0]
        for events in (["late", "refund"], ["late", None, "refund", None])
    )
    assert one == other
    again, _ = detector.update(one, [None, None], [("1", 1)], 2)
    assert detector.evidence(again) == detector.evidence(one)


def test_a_step_of_one_is_what_a_step_of_more_of_the_same_is() -> None:
    detector = learned({"late": 40, "refund": 160}, arl=ARL)
    moments = [(str(k), k) for k in range(3)]
    events = ["late", "strange", "refund"]
    one, _ = detector.update(detector.start(), events, moments)
    more, _ = detector.update(detector.start(), [event for event in events for _ in range(3)], moments, 3)
    assert np.allclose(one.sums, more.sums, rtol=1e-12)


def test_a_block_speaks_with_its_mean() -> None:
    """Half of the block speaks for a bet and half against it: less is won than with all of it, and less lost."""
    detector = learned({"late": 40, "refund": 160}, arl=ARL)
    half, all_of_it = (
        detector.update(detector.start(), block, [("0", 0)], 8)[0] for block in (["late", "refund"] * 4, ["late"] * 8)
    )
    assert 0 < detector.evidence(half) < detector.evidence(all_of_it)


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_texts_in_blocks_fire_where_they_lie_elsewhere_and_else_not(share: float) -> None:
    rng = np.random.default_rng(2)

    def prints(count: int, ones: float) -> list[int]:
        return [sum(1 << bit for bit in np.flatnonzero(row).tolist()) for row in rng.random((count, 64)) < ones]

    detector = Texts(ARL, tuple(prints(500, 0.5)))
    _, change = detector.update(detector.start(), prints(300, share), [(str(k), k) for k in range(60)], 5)
    assert (change is not None) == (share > 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [300, 1_000, 3_000])
def test_texts_keep_their_rate_on_references_of_any_size(size: int) -> None:
    """Chance in a small reference is no direction in which healthy texts lie: 20 of 20 alarmed at 300."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shares = np.clip(rng.normal(0.5, 0.12, 64), 0.05, 0.95)
        signs = np.packbits(rng.random((size + 3_000, 64)) < shares, axis=1).view(">u8").ravel().tolist()
        detector = Texts(10_000, tuple(signs[:size]))
        _, change = detector.update(detector.start(), signs[size:], [(str(k), k) for k in range(3_000)])
        alarms += change is not None
    assert alarms <= 20 * 3_000 / 10_000


def test_a_wrong_fingerprint_in_a_reference_is_named() -> None:
    with pytest.raises(ValueError, match="fingerprint of step 1 is -1, expected 64 bits"):
        Texts(ARL, (1, -1))
