from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from monitor.descriptors import NAMES, Describer
from monitor.forbidden import Forbidden
from monitor.profile import count
from streams import lake
from streams.events import InferenceServed
from streams.profiles import Described, Profiler, load
from streams.spans import Span, folder
from streams.topics import INFERENCE
from tests.streams.traffic import served

HOUR_MS = 3_600_000


def profiler(root: Path, partition: int = 0) -> Profiler:
    return Profiler(root / "profiles", root / "lake", partition, HOUR_MS, 10.0)


def described(offsets: range, time_ms: int = 0) -> Described:
    count = len(offsets)
    return Described(["support"] * count, ["v"] * count, [time_ms] * count, offsets, np.ones((count, len(NAMES))))


def rows(root: Path, start_ms: int = 0) -> int:
    found = load(folder(root / "profiles", Span("support", "v", start_ms)))
    return count(found, "prompt_chars") if found else 0


def test_partitions_and_batches_are_merged(tmp_path: Path) -> None:
    for partition in (0, 1, 11):
        mine = profiler(tmp_path, partition)
        mine.resume(0)
        for first in (0, 30):
            mine.track(described(range(first, first + 30)))
            mine.flush(1.0)
    assert rows(tmp_path) == 180
    assert len(list((tmp_path / "profiles").rglob("*.bin"))) == 3


def test_spans_are_kept_apart(tmp_path: Path) -> None:
    mine = profiler(tmp_path)
    mine.resume(0)
    mine.track(described(range(10), HOUR_MS - 1))
    mine.track(described(range(10, 15), HOUR_MS))
    mine.flush(1.0)
    assert (rows(tmp_path), rows(tmp_path, HOUR_MS)) == (10, 5)


def test_what_was_not_written_is_made_up_from_the_lake(tmp_path: Path) -> None:
    writer = lake.Writer(tmp_path / "lake", INFERENCE, 0, 100)
    events = [served("support", i, version="v", time_ms=5) for i in range(50)]
    writer.add(lake.rows(InferenceServed, 0, list(range(50)), events))
    first = profiler(tmp_path)
    first.resume(0)
    first.track(described(range(20), 5))
    first.flush(1.0)
    first.track(described(range(20, 50), 5))
    second = profiler(tmp_path)
    second.resume(40)
    second.track(described(range(40, 60), 5))
    second.flush(2.0)
    assert rows(tmp_path) == 60


def test_a_pattern_that_is_new_gets_a_column_and_the_old_ones_stay(tmp_path: Path) -> None:
    first = profiler(tmp_path)
    first.resume(0)
    first.track(described(range(20)))
    first.flush(1.0)
    names = Describer(Forbidden({"acme": "acme"}))
    second = Profiler(tmp_path / "profiles", tmp_path / "lake", 0, HOUR_MS, 10.0, names)
    second.resume(20)
    second.track(replace(described(range(20, 30)), values=np.ones((10, len(names.names)))))
    second.flush(2.0)
    view = load(folder(tmp_path / "profiles", Span("support", "v", 0)))
    assert view is not None
    assert (count(view, "prompt_chars"), count(view, "output_policy_acme")) == (30, 10)


def test_a_new_place_does_not_begin_with_all_of_the_lake(tmp_path: Path) -> None:
    writer = lake.Writer(tmp_path / "lake", INFERENCE, 0, 100)
    writer.add(lake.rows(InferenceServed, 0, [0], [served("support", 0, version="v", time_ms=5)]))
    mine = profiler(tmp_path)
    mine.resume(1)
    mine.flush(1.0)
    assert rows(tmp_path) == 0


def test_it_is_due_when_time_has_passed_and_there_is_something(tmp_path: Path) -> None:
    mine = profiler(tmp_path)
    mine.resume(0)
    assert not mine.due(100.0)
    mine.track(described(range(3)))
    assert not mine.due(5.0)
    assert mine.due(10.0)


def test_no_profile_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "none") is None
