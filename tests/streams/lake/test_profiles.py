from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import whylogs

from monitor.describe.descriptors import NAMES, Describer
from monitor.describe.patterns import Forbidden
from streams.events import InferenceServed
from streams.lake import table as lake
from streams.lake.profile_windows import ProfileWindow, folder
from streams.lake.profiles import Described, Profiler, load
from streams.lake.writer import LakeWriter
from streams.topics import INFERENCE
from tests.streams.support.profile_counts import count
from tests.streams.support.traffic import served

HOUR_MS = 3_600_000


def profiler(root: Path, partition: int = 0) -> Profiler:
    return Profiler(root / "profiles", root / "lake", partition, HOUR_MS, 10.0)


def described(offsets: range, time_ms: int = 0) -> Described:
    count = len(offsets)
    return Described(["support"] * count, ["v"] * count, [time_ms] * count, offsets, np.ones((count, len(NAMES))))


def rows(root: Path, start_ms: int = 0) -> int:
    found = load(folder(root / "profiles", ProfileWindow("support", "v", start_ms)))
    return count(found, "prompt_chars") if found else 0


@pytest.mark.slow
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


def test_what_was_not_written_comes_from_the_lake(tmp_path: Path) -> None:
    writer = LakeWriter(tmp_path / "lake", INFERENCE, 0, 100)
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
    view = load(folder(tmp_path / "profiles", ProfileWindow("support", "v", 0)))
    assert view is not None
    assert (count(view, "prompt_chars"), count(view, "output_policy_acme")) == (30, 10)


def test_a_new_place_does_not_begin_with_all_of_the_lake(tmp_path: Path) -> None:
    writer = LakeWriter(tmp_path / "lake", INFERENCE, 0, 100)
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


def stored(root: Path, offsets: range) -> None:
    events = [served("support", i, version="v", time_ms=5) for i in offsets]
    LakeWriter(root / "lake", INFERENCE, 0, 100).add(lake.rows(InferenceServed, 0, list(offsets), events))


@pytest.mark.slow
def test_two_workers_that_hold_the_same_rows_count_them_once(tmp_path: Path) -> None:
    stored(tmp_path, range(50))
    older, newer = profiler(tmp_path), profiler(tmp_path)
    older.resume(0)
    older.track(described(range(50), 5))
    newer.resume(40)
    newer.track(described(range(40, 60), 5))
    older.flush(1.0)  # it lives again, or ends, when the other has the partition
    newer.flush(2.0)
    assert rows(tmp_path) == 60
    older.track(described(range(50, 70), 5))  # and has the partition back
    older.flush(3.0)
    assert rows(tmp_path) == 70


def test_an_older_worker_takes_nothing_away(tmp_path: Path) -> None:
    older, newer = profiler(tmp_path), profiler(tmp_path)
    for mine, offsets in ((older, range(20)), (newer, range(60))):
        mine.resume(0)
        mine.track(described(offsets))
    newer.flush(1.0)
    older.flush(2.0)
    third = profiler(tmp_path)
    third.resume(60)
    third.flush(3.0)
    assert rows(tmp_path) == 60


@pytest.mark.slow
def test_whoever_reads_the_whole_folder_with_whylogs_alone_counts_every_event_once(tmp_path: Path) -> None:
    at = folder(tmp_path / "profiles", ProfileWindow("support", "v", 0))
    for partition in (0, 1):
        mine = profiler(tmp_path, partition)
        mine.resume(0)
        mine.track(described(range(30)))
        mine.flush(1.0)
        (at / f"partition={partition}.{7:020d}.bin").write_bytes(next(at.glob(f"partition={partition}.*")).read_bytes())
        mine.track(described(range(30, 40)))
        mine.flush(2.0)  # whoever wrote the file numbered 7 died before it could delete it
    views = [whylogs.read(str(path)).view() for path in at.glob("*.bin")]
    whole = views[0].merge(views[1])
    assert len(views) == 2
    assert whole.get_column("prompt_chars").to_summary_dict()["counts/n"] == 80
    assert sorted(whole.get_columns()) == sorted(NAMES)


def test_what_the_lake_has_is_profiled_though_no_event_follows(tmp_path: Path) -> None:
    first = profiler(tmp_path)
    first.resume(0)
    first.flush(1.0)
    stored(tmp_path, range(50))
    second = profiler(tmp_path)
    second.catch_up()
    second.flush(2.0)
    assert rows(tmp_path) == 50


def test_in_a_new_place_nothing_is_caught_up(tmp_path: Path) -> None:
    stored(tmp_path, range(50))
    mine = profiler(tmp_path)
    mine.catch_up()
    assert not mine.pending
