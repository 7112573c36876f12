"""Descriptors, categories and texts are watched together, under one budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from monitor.describe.descriptors import NAMES
from monitor.describe.traits import Traits, counted
from monitor.reference.frozen import event_scores, freeze
from monitor.reference.lumps import lumps
from monitor.signals.drift_detector import SHARES, Drift, DriftChange, State, detectors
from tests.monitor.support.world import make

ANSWERS = ["card", "refund", "parcel", "invoice"]
ARL = 1_000


def traits(rng: Generator, count: int, answers: Sequence[str] = ANSWERS, ones: float = 0.5) -> list[Traits]:
    texts = np.packbits(rng.random((count, 64)) < ones, axis=1)
    return [
        Traits(int.from_bytes(text.tobytes(), "big"), str(answer), "stop", "de")
        for text, answer in zip(texts, rng.choice(answers, count), strict=True)
    ]


def learnt(rng: Generator, events: int = 1_000, arl: int = ARL) -> Drift:
    rows = rng.standard_normal((events, 2)).tolist()
    return detectors(freeze(["a", "b"], rows, list(range(events)), traits=traits(rng, events)), arl)


def watched(
    ours: Drift, rng: Generator, events: list[Traits], cuts: Sequence[int] = ()
) -> tuple[State, list[tuple[int, DriftChange]]]:
    count = len(events)
    prints, values = list(range(10_000, 10_000 + count)), rng.standard_normal((count, 2))
    scores = event_scores(ours.ready, values, prints)
    moments = [(str(k), k) for k in range(count)]
    state, found = ours.start(), []
    for low, high in zip([0, *cuts], [*cuts, count], strict=True):
        state, one = ours.update(state, scores[low:high], prints[low:high], events[low:high], moments[low:high])
        found += [(low + one.end, one)] if one else []
    return state, found


def test_shares_are_one_budget() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)
    ours = learnt(np.random.default_rng(0))
    assert set(ours.parts) == set(SHARES)
    assert ours.weights.sum() == pytest.approx(1.0)
    bare = detectors(freeze(["a"], [[0.1], [0.5]] * 50, list(range(100))), ARL)
    assert list(bare.parts) == ["descriptors"]
    assert bare.weights.sum() == pytest.approx(1.0)


@pytest.mark.slow
def test_a_tenth_of_the_run_length_is_seldom_too_long() -> None:
    """Of 60 healthy runs of ARL / 10 events, an exponential run length would stop 5.7."""
    stopped = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        ours = learnt(rng)
        stopped += bool(watched(ours, rng, traits(rng, ARL // 10))[1])
    assert stopped <= 10


@pytest.mark.parametrize(
    ("changed", "part", "what"),
    [
        ({"answers": ["card", "card", "card", "parcel"]}, "answer", "comes more"),
        ({"answers": [*ANSWERS, "upgrade"]}, "answer", "what the reference lacks comes more often"),
        ({"ones": 0.62}, "texts", "texts lie elsewhere"),
    ],
)
def test_what_no_descriptor_shows_is_found_and_named(changed: dict[str, Any], part: str, what: str) -> None:
    rng = np.random.default_rng(3)
    ours = learnt(rng)
    _, found = watched(ours, rng, [*traits(rng, 100), *traits(rng, 200, **changed)])
    (at, one), *_ = found
    assert one.part == part
    assert what in one.change.what
    assert 100 <= at < 200
    assert int(one.change.since[0]) <= at


@pytest.mark.slow
def test_how_it_is_cut_changes_nothing_in_blocks_neither() -> None:
    rng = np.random.default_rng(4)
    dependent = np.cumsum(rng.standard_normal((1_000, 2)), axis=0)
    ours = detectors(freeze(["a", "b"], dependent.tolist(), list(range(1_000)), traits=traits(rng, 1_000)), ARL)
    assert ours.ready.block > 1
    events = traits(rng, 300, ["card"])
    whole = watched(ours, np.random.default_rng(5), events)
    for cuts in ([1], [7, 8, 150], list(range(1, 300, 3))):
        assert watched(ours, np.random.default_rng(5), events, cuts)[0] == whole[0]


def test_free_text_is_no_category() -> None:
    rng = np.random.default_rng(6)
    spoken = [Traits(0, f"answer {i}", "stop") for i in range(100)]
    assert list(counted(spoken)) == ["finish_reason"]
    assert list(counted(traits(rng, 100))) == ["answer", "finish_reason", "language"]
    assert counted([Traits(0, "card" if i % 2 else "", "stop") for i in range(100)]) == {"finish_reason": {"stop": 100}}


def test_an_alarm_says_which_answer_and_in_which_slice() -> None:
    world = make(7)
    tags = [{"language": "de" if k % 3 else "en"} for k in range(300)]
    world.label(world.serve(300, answers=[ANSWERS[k % 4] for k in range(300)], tags=tags)[::2], 0.95)
    answers = ["card" if k % 3 == 0 else ANSWERS[k % 4] for k in range(300)]
    world.serve(300, answers=answers, tags=tags)
    (alarm,) = world.alarms("drift")
    assert alarm.evidence["part"] == "answer"
    assert "card comes more often" in alarm.summary
    assert alarm.evidence["moved"][0]["name"] in ("answer=card", *(f"answer={each}" for each in ANSWERS))
    assert alarm.evidence["slice"]["name"] == "language=en"
    assert alarm.evidence["slice"]["measure"] == "share of the answer card"
    assert len(NAMES) == len(world.state.watches[alarm.version].names)


@pytest.mark.slow
def test_a_reference_may_be_asked_to_span_a_time() -> None:
    """300 events at 2 a second span 150 s; asked for an hour, the reference holds events of all of it."""
    world = make(8, reference_span_s=3_600)
    for _ in range(80):
        world.serve(100)
    (watch,) = world.state.watches.values()
    assert watch.reference is not None
    times = watch.reference.times_ms
    assert times[-1] - times[0] >= 2_400_000, "whole stretches are kept, not the last one in any case"
    assert 300 <= len(watch.reference.rows) <= 600
    assert watch.rows == []
    assert len(watch.losses) == len(watch.reference.rows)


def _in_runs(rng: np.random.Generator, events: int, mean: float) -> np.ndarray:
    """One of eight kinds for a while, then another."""
    kinds = rng.integers(0, 8, events)
    begins = np.flatnonzero(np.append(True, rng.random(events - 1) < 1.0 / mean))
    return np.repeat(kinds[: len(begins)], np.diff(np.append(begins, events)))


@pytest.mark.slow
@pytest.mark.parametrize(("part", "mean"), [("answer", 2.0), ("answer", 5.0), ("language", 20.0), ("texts", 5.0)])
def test_conversations_are_no_drift_though_descriptors_show_nothing_of_them(part: str, mean: float) -> None:
    """One conversation after the other, each of one kind: taken for independent, all raise an alarm within 1,000."""
    stopped = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        topics = rng.random((8, 64)) < 0.5
        kinds = _in_runs(rng, 4_000, mean)
        noise = rng.random((4_000, 64)) < 0.5
        bits = np.where(noise, rng.random((4_000, 64)) < 0.5, topics[kinds if part == "texts" else 0])
        prints = [int.from_bytes(row.tobytes(), "big") for row in np.packbits(bits, axis=1)]
        of_each = {"answer": "card", "language": "en"}
        events = [
            Traits(text, **(of_each | ({part: f"kind {kind}"} if part in of_each else {})))
            for text, kind in zip(prints, kinds.tolist(), strict=True)
        ]
        rows = rng.standard_normal((4_000, 1))
        reference = freeze(["x"], rows[:2_000].tolist(), list(range(2_000)), traits=events[:2_000])
        ours = detectors(reference, 10_000)
        assert set(reference.lumps) == {part}
        assert (ours.ready.block, part in ours.parts) == (1, True)
        after = list(range(2_000, 4_000))
        scores = event_scores(ours.ready, rows[2_000:], after)
        moments = [(str(k), k) for k in after]
        stopped += ours.update(ours.start(), scores, after, events[2_000:], moments)[1] is not None
    assert stopped <= 1


@pytest.mark.slow
def test_what_comes_alone_has_no_lumps() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        texts = rng.integers(0, 1 << 63, 2_000).tolist()
        events = [Traits(text, f"kind {rng.integers(6)}", "stop") for text in texts]
        assert lumps(events) == {}
