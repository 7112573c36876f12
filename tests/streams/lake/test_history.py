from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.events import FeedbackGiven, InferenceServed
from streams.lake.history import Extent, Slice, Stretch, read, survey
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support import lakes
from tests.streams.support.lakes import at
from tests.streams.support.traffic import START_MS, feedback, served

ALL = Stretch()
DAY_MS = 86_400_000


def put(root: Path, partition: int, events: list[InferenceServed], together: int = 20) -> None:
    lakes.put(root, INFERENCE, events, partition, together=together)


def give(root: Path, partition: int, events: list[FeedbackGiven], together: int = 20) -> None:
    lakes.put(root, FEEDBACK, events, partition, together=together)


def served_at(number: int, time_ms: int) -> InferenceServed:
    return served("support", number, time_ms=START_MS + time_ms)


def replies(root: Path, stretch: Stretch = ALL) -> list[InferenceServed]:
    return [reply for slice in read(at(root), stretch) for reply in slice.replies]


def test_events_come_back_as_they_were(tmp_path: Path) -> None:
    events = [served("support", i) for i in range(50)]
    labels = [feedback(each, None if i % 3 else True) for i, each in enumerate(events)]
    put(tmp_path, 0, events)
    give(tmp_path, 4, labels)
    slices = list(read(at(tmp_path), Stretch()))
    assert [reply for slice in slices for reply in slice.replies] == events
    assert [label for slice in slices for label in slice.labels] == labels


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.integers(0, 3), min_size=1, max_size=120), block=st.integers(1, 50))
def test_partitions_are_merged_by_time_whatever_their_files(
    tmp_path_factory: object, places: list[int], block: int
) -> None:
    root: Path = tmp_path_factory.mktemp("lake")  # type: ignore[attr-defined]
    events = [served("support", i) for i in range(len(places))]
    for partition in set(places):
        put(root, partition, [e for e, place in zip(events, places, strict=True) if place == partition], block)
    assert replies(root) == events


@pytest.mark.slow
def test_no_slice_goes_back_in_time_and_its_times_never_fall(tmp_path: Path) -> None:
    for partition in range(3):
        put(tmp_path, partition, [served("support", 3 * i + partition) for i in range(100)], together=7 * partition + 5)
    give(tmp_path, 0, [feedback(served("support", i), True) for i in range(300)], together=11)
    slices = list(read(at(tmp_path), Stretch()))
    for name in ("replies_ms", "labels_ms"):
        times = [time for slice in slices for time in getattr(slice, name)]
        assert times == sorted(times)
    assert all(_last(one) <= _first(other) for one, other in pairwise(slices))


def _first(slice: Slice) -> int:
    return min([*slice.replies_ms[:1], *slice.labels_ms[:1]])


def _last(slice: Slice) -> int:
    return max([*slice.replies_ms[-1:], *slice.labels_ms[-1:]])


def test_within_a_partition_the_order_of_offsets_holds(tmp_path: Path) -> None:
    """The second reply was slower to be sent; the third is an hour late."""
    events = [
        served_at(0, 1_000),
        served_at(1, 900),
        served_at(2, -3_600_000),
        *(served_at(i, 1_000 * i) for i in (3, 4)),
    ]
    put(tmp_path, 0, events)
    assert replies(tmp_path) == events


def test_one_clock_a_day_ahead_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    events = [served_at(i, 1_000 * i) for i in range(60)]
    broken = replace(events[20], time_ms=events[20].time_ms + DAY_MS)
    mine, others = [*events[:20:2], broken, *events[22::2]], events[1::2]
    put(tmp_path, 0, mine, together=8)
    put(tmp_path, 1, others, together=8)
    found = [reply.id for reply in replies(tmp_path)]
    assert sorted(found) == [each.id for each in events]
    assert max(abs(found.index(each.id) - i) for i, each in enumerate(events)) <= 2


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    mine, others = [served("support", i) for i in range(40)], [served("sales", i) for i in range(40)]
    put(tmp_path, 0, [event for both in zip(mine, others, strict=True) for event in both])
    assert replies(tmp_path, Stretch("support")) == mine
    stretch = Stretch("support", mine[10].time_ms, mine[20].time_ms)
    assert replies(tmp_path, stretch) == mine[10:20]
    assert survey(at(tmp_path), stretch) == {"support": Extent(10, 0, 0, mine[10].time_ms, mine[19].time_ms)}


def test_the_survey_counts_each_alias(tmp_path: Path) -> None:
    mine, others = [served("support", i) for i in range(40)], [served("sales", i) for i in range(7)]
    put(tmp_path, 0, [*mine, *others])
    give(tmp_path, 0, [feedback(mine[0], True), feedback(mine[1], None), feedback(mine[39], False)])
    last = mine[39].time_ms + 1_000
    assert survey(at(tmp_path), Stretch()) == {
        "support": Extent(40, 3, 2, mine[0].time_ms, last),
        "sales": Extent(7, 0, 0, others[0].time_ms, others[6].time_ms),
    }


def test_no_lake_no_history(tmp_path: Path) -> None:
    assert survey(at(tmp_path / "nowhere"), Stretch()) == {}
    assert list(read(at(tmp_path / "nowhere"), Stretch())) == []
