"""A cache loses what nobody needs, and nothing that was used within a day."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

from streams.files import locked
from streams.objects.cache import GB, UNUSED_S, tidied, tidy
from streams.objects.settings import StorageSettings
from streams.objects.tree import LISTING, Trees
from tests.streams.objects.conftest import Place
from tests.support.s3 import S3, SLOW_DOWN

NOW = 1_900_000_000.0
AGO = NOW - UNUSED_S - 1
ROOM = 50.0


def key(number: int) -> str:
    return f"adapters/support/{hashlib.sha256(b'%d' % number).hexdigest()}"


def put(trees: Trees, number: int, used_s: float) -> Path:
    """A tree of a thousand bytes."""
    with trees.scratch("adapters/support") as scratch:
        (scratch / "weights").write_bytes(bytes(1_000))
        path = trees.put(key(number), scratch)
    os.utime(path, (used_s, used_s))
    return path


def test_what_the_store_has_no_more_goes_a_day_after_its_last_use(bucket: Place) -> None:
    trees = bucket.trees()
    gone, late, kept = (put(trees, n, used_s) for n, used_s in ((1, AGO), (2, NOW - 60), (3, AGO)))
    for number in (1, 2):
        trees.store.delete(f"{key(number)}/{LISTING}")
    assert tidy(trees, ROOM, NOW) == 1
    assert [path.is_dir() for path in (gone, late, kept)] == [False, True, True]


def test_beyond_its_room_what_was_used_longest_ago_goes_and_is_fetched_again(bucket: Place) -> None:
    trees = bucket.trees()
    paths = [put(trees, number, AGO - 100 + number) for number in range(4)]
    put(trees, 9, NOW)
    assert tidy(trees, 3_000 / GB, NOW) == 2
    assert [path.is_dir() for path in paths] == [False, False, True, True]
    assert (trees.fetch(key(0)) / "weights").stat().st_size == 1_000


def test_what_was_used_within_a_day_stays_however_full_it_is(bucket: Place) -> None:
    trees = bucket.trees()
    put(trees, 1, AGO)
    trees.fetch(key(1))
    put(trees, 2, AGO)
    trees.used(key(2))
    assert tidy(trees, 1 / GB, time.time()) == 0


def test_what_processes_left_that_died_goes_and_what_others_have_there_stays(bucket: Place) -> None:
    trees = bucket.trees()
    path = put(trees, 1, NOW)
    half, new = path.with_name(f".{'a' * 64}.part"), path.with_name(".new-xyz")
    for each in (half, new):
        each.mkdir()
        (each / "weights").write_bytes(b"half")
    lock, foreign, page = (
        path.with_name(f".{'b' * 64}.lock"),
        trees.home / "notes.txt",
        trees.home / "reports" / "a.html",
    )
    page.parent.mkdir()
    for file in (lock, foreign, page):
        file.touch()
    for each in (half, new, lock, foreign, page):
        os.utime(each, (AGO, AGO))
    tidy(trees, ROOM, NOW)
    assert [each.exists() for each in (half, new, lock, foreign, page)] == [False, False, False, True, False]
    fresh = path.with_name(".new-abc")
    fresh.mkdir()
    tidy(trees, ROOM, time.time())
    assert fresh.exists()


def test_what_is_being_fetched_is_left_alone(bucket: Place) -> None:
    trees = bucket.trees()
    path = put(trees, 1, AGO)
    half = path.with_name(f".{path.name}.part")
    half.mkdir()
    os.utime(half, (AGO, AGO))
    with locked(path.with_name(f".{path.name}.lock")):
        assert tidy(trees, 1 / GB, NOW) == 0
    assert path.is_dir()
    assert half.is_dir()
    assert tidy(trees, 1 / GB, NOW) == 1


def test_a_bucket_that_is_away_takes_nothing_from_the_cache(s3: S3, bucket: Place) -> None:
    trees = bucket.trees(patience_s=0.3)
    path = put(trees, 1, AGO)
    s3.for_ever = SLOW_DOWN
    assert tidy(trees, ROOM, NOW) == 0
    assert path.is_dir()


def test_a_folder_that_is_the_store_is_left_as_it_is(tmp_path: Path) -> None:
    trees = Place(StorageSettings(), tmp_path).trees()
    path = put(trees, 1, AGO)
    tidied(trees, 1 / GB)
    assert path.is_dir()


def test_readers_and_a_tidier_of_one_cache_never_meet_half_a_tree(bucket: Place) -> None:
    """The tidier takes for old whatever it sees."""
    trees = bucket.trees()
    put(trees, 1, AGO)
    stop = threading.Event()

    def tidying() -> None:
        while not stop.is_set():
            tidy(trees, 1 / GB, time.time() + UNUSED_S + 60)

    thread = threading.Thread(target=tidying)
    thread.start()
    try:
        for _ in range(20):
            sizes: list[int] = []
            trees.fetch(key(1), lambda folder, sizes=sizes: sizes.append((folder / "weights").stat().st_size))  # type: ignore[misc]
            assert sizes in ([], [1_000])
    finally:
        stop.set()
        thread.join()


def test_of_those_who_wait_for_a_lock_that_is_removed_one_has_it_at_a_time(tmp_path: Path) -> None:
    inside, most = [0], [0]
    guard = threading.Lock()

    def work() -> None:
        for _ in range(50):
            with locked(tmp_path / "lock"):
                with guard:
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                with guard:
                    inside[0] -= 1
                (tmp_path / "lock").unlink(missing_ok=True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most == [1]


def test_a_folder_with_other_things_in_it_is_not_tidied(bucket: Place) -> None:
    trees = bucket.trees()
    theirs = trees.home / "reports" / "annual.pdf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    os.utime(theirs, (AGO, AGO))
    ours = put(trees, 1, AGO)
    assert tidy(trees, 0.0, NOW) == 0
    assert theirs.read_text() == "mine"
    assert ours.is_dir()
