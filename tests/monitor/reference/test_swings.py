"""What swings with day or week in categories and texts is not bet on, and said."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.random import Generator
from numpy.typing import NDArray

from deploy.operator.budget import Dependence, present
from monitor.budget import AliasTraffic
from monitor.describe.traits import Traits
from monitor.findings import ReferenceFrozen
from monitor.reference.frozen import Reference, event_scores, freeze
from monitor.reference.seasonality import DAY_MS
from monitor.reference.swings import swinging
from monitor.settings import MonitorSettings
from monitor.signals.drift_detector import TEXTS, detectors
from tests.monitor.support.standing import standings
from tests.monitor.support.world import VERSION, make

Ints = NDArray[np.int64]

ANSWERS = ("card", "refund", "parcel", "invoice")
TOPICS = np.random.default_rng(1).random((4, 64)) < 0.5
A_DAY, REFERENCE = 500, 2_000


def traffic(rng: Generator, events: int, swing: float, follows: str, first: int = 0) -> tuple[list[Traits], list[int]]:
    """One of four topics, or answers, comes with a share of 0.25 and this swing around it."""
    times = [int(k * DAY_MS / A_DAY) for k in range(first, first + events)]
    shares = 0.25 + swing * np.sin(2.0 * np.pi * np.array(times) / DAY_MS)
    kinds = np.where(rng.random(events) < shares, 0, rng.integers(1, 4, events))
    free = rng.integers(0, 4, events)
    topics, answers = _of(TEXTS, kinds, free, follows), _of("answer", kinds, free, follows)
    noise = rng.random((events, 64)) < 0.3
    octets = np.packbits(np.where(noise, rng.random((events, 64)) < 0.5, TOPICS[topics]), axis=1)
    texts = [int.from_bytes(row.tobytes(), "big") for row in octets]
    return [Traits(text, ANSWERS[kind], "stop") for text, kind in zip(texts, answers.tolist(), strict=True)], times


def _of(part: str, kinds: Ints, free: Ints, follows: str) -> Ints:
    return kinds if part == follows else free


def learnt(rng: Generator, events: list[Traits], times: list[int]) -> Reference:
    rows = rng.standard_normal((len(events), 1)).tolist()
    return freeze(["x"], rows, list(range(len(events))), times, traits=events)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["answer", TEXTS])
@pytest.mark.parametrize("seed", range(4))
def test_what_swings_with_the_day_raises_no_alarm(part: str, seed: int) -> None:
    """A share between 5 % and 45 %: bet on as it comes, each stream raises one within two days."""
    rng = np.random.default_rng(seed)
    events, times = traffic(rng, REFERENCE + 4_000, 0.2, part)
    reference = learnt(rng, events[:REFERENCE], times[:REFERENCE])
    ours = detectors(reference, 100_000)
    assert reference.swinging == [part]
    assert part not in ours.parts
    assert {"descriptors", "answer", TEXTS} - set(ours.parts) == {part}
    prints = list(range(REFERENCE, len(events)))
    scores = event_scores(ours.ready, rng.standard_normal((4_000, 1)), prints, times[REFERENCE:])
    moments = [(str(one), one) for one in prints]
    _, found = ours.update(ours.start(), scores, prints, events[REFERENCE:], moments)
    assert found is None


@pytest.mark.slow
@pytest.mark.parametrize("follows", ["answer", TEXTS])
def test_an_hour_of_each_day_is_a_rhythm_too(follows: str) -> None:
    """A job at three every night, all of one kind."""
    rng = np.random.default_rng(5)
    events, times = traffic(rng, REFERENCE, 0.0, follows)
    job = {"answer": "card"} if follows == "answer" else {"text": events[0].text}
    nightly = [time_ms % DAY_MS * 24 // DAY_MS == 3 for time_ms in times]
    mixed = [replace(one, **job) if at else one for one, at in zip(events, nightly, strict=True)]
    assert swinging(mixed, times) == [follows]


@pytest.mark.slow
def test_steady_traffic_is_watched() -> None:
    found = 0
    for seed in range(10):
        found += len(swinging(*traffic(np.random.default_rng(seed), REFERENCE, 0.0, "answer")))
    assert found <= 1


def test_a_reference_of_an_hour_says_nothing_of_a_rhythm() -> None:
    events, _ = traffic(np.random.default_rng(6), REFERENCE, 0.2, "answer")
    assert swinging(events, list(range(0, 1_800 * REFERENCE, 1_800))) == []
    assert swinging(events, []) == []


@pytest.mark.slow
def test_the_reference_says_what_is_not_watched() -> None:
    world = make(9, reference_events=REFERENCE)
    world.step_ms = DAY_MS // A_DAY
    rng = np.random.default_rng(9)
    events, _ = traffic(rng, REFERENCE, 0.2, "answer", first=world.now_ms // world.step_ms)
    for low in range(0, REFERENCE, 500):
        world.serve(500, answers=[event.answer for event in events[low : low + 500]])
    (frozen,) = [each for each in world.findings if isinstance(each, ReferenceFrozen)]
    assert frozen.unwatched == standings(world.state)[VERSION].unwatched == ["answer"]


def test_the_plan_says_so() -> None:
    day = AliasTraffic(events=10_000, labels=100)
    assert "nothing of categories and texts" in present(MonitorSettings(), day, Dependence(waves=2)).found["drift"]
    assert "categories" not in present(MonitorSettings(), day).found["drift"]
