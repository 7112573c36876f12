"""Profiles have each event once, in a folder and in a bucket, whatever workers and the store do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import whylogs

from monitor.describe.descriptors import NAMES, Describer
from monitor.describe.patterns import Forbidden
from streams.lake import profiles
from streams.lake.lake import Lake
from streams.lake.profile_windows import ProfileWindow
from streams.lake.profiles import Described, Profiler, load
from streams.objects.opening import Storage
from streams.objects.store import ObjectStore, StorageError
from streams.topics import INFERENCE
from tests.streams.support.lakes import put
from tests.streams.support.profile_counts import count
from tests.streams.support.traffic import served
from tests.support.s3 import DENIED, S3

HOUR_MS = 3_600_000
WINDOW = ProfileWindow("support", "v", 0)


@pytest.fixture
def store(storage: Storage) -> ObjectStore:
    return storage.objects(5.0)


def profiler(storage: Storage, partition: int = 0) -> Profiler:
    return Profiler(storage.objects(5.0), Lake.of(storage), partition, HOUR_MS)


def described(offsets: range, time_ms: int = 0) -> Described:
    count = len(offsets)
    return Described(["support"] * count, ["v"] * count, [time_ms] * count, offsets, np.ones((count, len(NAMES))))


def rows(storage: Storage, start_ms: int = 0) -> int:
    found = load(storage.objects(), ProfileWindow("support", "v", start_ms))
    return count(found, "prompt_chars") if found else 0


def stored(storage: Storage, offsets: range) -> None:
    events = [served("support", i, version="v", time_ms=5) for i in offsets]
    put(Lake.of(storage), INFERENCE, events, first=offsets[0])


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 5, -50], ids=["nothing", "its beginning", "most of it"])
def test_a_profile_that_a_power_cut_damaged_is_made_again(storage: Storage, store: ObjectStore, left: int) -> None:
    stored(storage, range(10))
    first = profiler(storage)
    first.resume(0)
    first.catch_up()
    first.flush()
    (key,) = [each for each in store.list("profiles") if each.endswith(".bin")]
    data = store.get(key).data
    store.delete(key)
    store.put_if_absent(key, data[:left])
    second = profiler(storage)
    second.resume(10)
    second.track(described(range(10, 15)))
    second.flush()
    assert rows(storage) == 15
    assert second.pending == {}


@pytest.mark.slow
def test_partitions_and_batches_are_merged(storage: Storage, store: ObjectStore) -> None:
    for partition in (0, 1, 11):
        mine = profiler(storage, partition)
        mine.resume(0)
        for first in (0, 30):
            mine.track(described(range(first, first + 30)))
            mine.flush()
    assert rows(storage) == 180
    assert sum(key.endswith(".bin") for key in store.list("profiles")) == 3


def test_spans_are_kept_apart(storage: Storage) -> None:
    mine = profiler(storage)
    mine.resume(0)
    mine.track(described(range(10), HOUR_MS - 1))
    mine.track(described(range(10, 15), HOUR_MS))
    mine.flush()
    assert (rows(storage), rows(storage, HOUR_MS)) == (10, 5)


def test_what_was_not_written_comes_from_the_lake(storage: Storage) -> None:
    stored(storage, range(50))
    first = profiler(storage)
    first.resume(0)
    first.track(described(range(20), 5))
    first.flush()
    first.track(described(range(20, 50), 5))
    second = profiler(storage)
    second.resume(40)
    second.track(described(range(40, 60), 5))
    second.flush()
    assert rows(storage) == 60


def test_a_pattern_that_is_new_gets_a_column_and_the_old_ones_stay(storage: Storage, store: ObjectStore) -> None:
    first = profiler(storage)
    first.resume(0)
    first.track(described(range(20)))
    first.flush()
    names = Describer(Forbidden({"acme": "acme"}))
    second = replace(profiler(storage), describe=names)
    second.resume(20)
    second.track(replace(described(range(20, 30)), values=np.ones((10, len(names.names)))))
    second.flush()
    view = load(store, WINDOW)
    assert view is not None
    assert (count(view, "prompt_chars"), count(view, "output_policy_acme")) == (30, 10)


def test_a_new_place_does_not_begin_with_all_of_the_lake(storage: Storage) -> None:
    stored(storage, range(1))
    mine = profiler(storage)
    mine.resume(1)
    mine.flush()
    assert rows(storage) == 0


def test_no_profile_is_none(store: ObjectStore) -> None:
    assert load(store, WINDOW) is None


@pytest.mark.slow
def test_two_workers_that_hold_the_same_rows_count_them_once(storage: Storage) -> None:
    stored(storage, range(50))
    older, newer = profiler(storage), profiler(storage)
    older.resume(0)
    older.track(described(range(50), 5))
    newer.resume(40)
    newer.track(described(range(40, 60), 5))
    older.flush()  # it lives again, or ends, when the other has the partition
    newer.flush()
    assert rows(storage) == 60
    older.track(described(range(50, 70), 5))  # and has the partition back
    older.flush()
    assert rows(storage) == 70


def test_a_profile_that_another_worker_writes_while_the_old_ones_are_looked_for_stays(
    storage: Storage, store: ObjectStore
) -> None:
    older, newer = profiler(storage), profiler(storage)
    for mine, offsets in ((older, range(50)), (newer, range(60))):
        mine.resume(0)
        mine.track(described(offsets))
    put, listed, between = type(store).put_if_absent, type(store).list, [newer.flush]
    written: list[str] = []

    def note(self: Any, key: str, content: bytes, **more: bool) -> bool:
        written.append(key)
        return bool(put(self, key, content, **more))

    def look(self: Any, prefix: str) -> list[str]:
        found = list(listed(self, prefix))
        if any(key.endswith(".bin") for key in written) and between:
            between.pop()()
        return found

    with mock.patch.multiple(type(store), put_if_absent=note, list=look):
        older.flush()
    assert rows(storage) == 60


@pytest.mark.slow
def test_two_workers_that_write_at_once_count_each_row_once(storage: Storage, store: ObjectStore) -> None:
    """Both have looked for the newest profile before either of them writes."""
    older, newer = profiler(storage), profiler(storage)
    for mine, offsets in ((older, range(50)), (newer, range(60))):
        mine.resume(0)
        mine.track(described(offsets))
    met = threading.Barrier(2)
    put = type(store).put_if_absent

    def together(self: Any, key: str, content: bytes, **more: bool) -> bool:
        if key.endswith(".bin"):
            met.wait(10)
        return bool(put(self, key, content, **more))

    with mock.patch.object(type(store), "put_if_absent", together):
        threads = [threading.Thread(target=each.flush) for each in (older, newer)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert rows(storage) == 60
    assert sum(key.endswith(".bin") for key in store.list("profiles")) == 1


def test_an_older_worker_takes_nothing_away(storage: Storage) -> None:
    older, newer = profiler(storage), profiler(storage)
    for mine, offsets in ((older, range(20)), (newer, range(60))):
        mine.resume(0)
        mine.track(described(offsets))
    newer.flush()
    older.flush()
    third = profiler(storage)
    third.resume(60)
    third.flush()
    assert rows(storage) == 60


class Killed(BaseException):
    """The worker is no more."""


@pytest.mark.slow
@pytest.mark.parametrize("step", ["object", "swept", "noted"])
def test_a_worker_that_dies_between_steps_leaves_each_row_once(storage: Storage, step: str) -> None:
    """Before its object is put, before the one before it is deleted, before the checkpoint."""
    stored(storage, range(50))
    mine = profiler(storage)
    mine.resume(0)
    mine.track(described(range(20), 5))
    mine.flush()
    mine.track(described(range(20, 40), 5))
    spots: dict[str, tuple[object, str]] = {
        "object": (type(mine.store), "put_if_absent"),
        "swept": (type(mine.store), "delete"),
        "noted": (Profiler, "_note"),
    }
    with mock.patch.object(*spots[step], side_effect=Killed), pytest.raises(Killed):
        mine.flush()
    after = profiler(storage)
    after.resume(40)
    after.track(described(range(40, 60), 5))
    after.flush()
    assert rows(storage) == 60
    assert sum(key.endswith(".bin") for key in after.store.list("profiles")) == 1


@pytest.mark.slow
def test_with_whylogs_alone_the_whole_folder_has_every_event_once(storage: Storage, store: ObjectStore) -> None:
    place = f"profiles/{WINDOW.place}"
    for partition in (0, 1):
        mine = profiler(storage, partition)
        mine.resume(0)
        mine.track(described(range(30)))
        mine.flush()
        (newest,) = [key for key in store.list(place) if f"partition={partition}." in key]
        store.put_if_absent(f"{place}/partition={partition}.{7:020d}.bin", store.get(newest).data)
        mine.track(described(range(30, 40)))
        mine.flush()  # the writer of the object numbered 7 died before it could delete it
    keys = list(store.list(place))
    views = [whylogs.core.DatasetProfileView.deserialize(store.get(key).data) for key in keys]
    whole = views[0].merge(views[1])
    assert len(views) == 2
    assert whole.get_column("prompt_chars").to_summary_dict()["counts/n"] == 80
    assert sorted(whole.get_columns()) == sorted(NAMES)


def test_what_the_lake_has_is_profiled_though_no_event_follows(storage: Storage) -> None:
    first = profiler(storage)
    first.resume(0)
    first.flush()
    stored(storage, range(50))
    second = profiler(storage)
    second.catch_up()
    second.flush()
    assert rows(storage) == 50


def test_in_a_new_place_nothing_is_caught_up(storage: Storage) -> None:
    stored(storage, range(50))
    mine = profiler(storage)
    mine.catch_up()
    assert not mine.pending


def failing(store: ObjectStore, window: ProfileWindow) -> Callable[..., bool]:
    put = type(store).put_if_absent

    def act(self: Any, key: str, content: bytes, **more: bool) -> bool:
        if window.place in key:
            raise StorageError("away")
        return bool(put(self, key, content, **more))

    return act


def test_rows_that_could_not_be_written_wait_and_the_other_windows_are_written(storage: Storage) -> None:
    mine = profiler(storage)
    mine.resume(0)
    mine.track(described(range(10)))
    mine.track(described(range(10, 15), HOUR_MS))
    with mock.patch.object(type(mine.store), "put_if_absent", failing(mine.store, WINDOW)), pytest.raises(StorageError):
        mine.flush()
    assert (rows(storage), rows(storage, HOUR_MS)) == (0, 5)
    mine.track(described(range(15, 20)))
    mine.flush()
    assert (rows(storage), rows(storage, HOUR_MS)) == (15, 5)


def test_rows_are_taken_while_the_store_hangs(storage: Storage) -> None:
    mine = profiler(storage)
    mine.resume(0)
    mine.track(described(range(10)))
    hangs, goes_on = threading.Event(), threading.Event()
    put = type(mine.store).put_if_absent

    def slow(self: Any, key: str, content: bytes, **more: bool) -> bool:
        hangs.set()
        assert goes_on.wait(10)
        return bool(put(self, key, content, **more))

    with mock.patch.object(type(mine.store), "put_if_absent", slow):
        writing = threading.Thread(target=mine.flush)
        writing.start()
        assert hangs.wait(10)
        mine.track(described(range(10, 30)))
        goes_on.set()
        writing.join()
    assert rows(storage) == 10
    mine.flush()
    assert rows(storage) == 30


def test_rows_that_fill_the_memory_are_let_go_and_come_from_the_lake(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = profiler(storage)
    mine.resume(0)
    stored(storage, range(80))
    with monkeypatch.context() as narrow:
        narrow.setattr(profiles, "MOST_ROWS", 40)
        for first in range(0, 80, 20):
            mine.track(described(range(first, first + 20), 5))
    assert mine.overflown
    mine.flush()
    assert (rows(storage), mine.pending) == (0, {})
    fresh = profiler(storage)
    fresh.catch_up()
    fresh.flush()
    assert rows(storage) == 80


def test_a_bucket_that_refuses_names_its_setting(s3: S3, tmp_path: Path) -> None:
    storage = Storage(s3.storage(tmp_path.name), tmp_path)
    mine = profiler(storage)
    mine.resume(0)
    mine.track(described(range(10)))
    s3.for_ever = DENIED
    with pytest.raises(StorageError, match=r"storage\.url is .*AccessDenied"):
        mine.flush()
    s3.reset()
    mine.flush()
    assert rows(storage) == 10
