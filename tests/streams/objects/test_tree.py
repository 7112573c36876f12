"""A tree is there as a whole or not at all, for every reader; its bytes are fetched once."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from streams.objects.settings import StorageSettings
from streams.objects.store import StorageError
from streams.objects.tree import CACHE_MARK, DamagedTree
from tests.streams.objects.conftest import Place
from tests.streams.support.tree_writer import FILES, write
from tests.support.s3 import S3, SLOW_DOWN

DIGEST = "0123456789abcdef" * 4
KEY = f"adapters/support/{DIGEST}"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def left(place: Place, machine: str) -> list[str]:
    """What a machine has in its folders, locks and the cache's mark aside."""
    found = [path for path in place.var(machine).rglob("*") if path.is_file()]
    return [path.name for path in found if not path.name.endswith(("lock", CACHE_MARK))]


def test_it_comes_back_as_it_was(place: Place) -> None:
    path = write(place.trees("trainer"), KEY)
    assert content(path) == FILES
    found = place.trees("replica").fetch(KEY)
    assert content(found) == FILES
    assert found.is_relative_to(place.var("replica"))
    assert place.trees("replica").digests("adapters/support") == [DIGEST]
    assert place.trees("replica").digests("adapters/other") == []


def test_what_was_never_put_is_not_there(place: Place) -> None:
    with pytest.raises(FileNotFoundError, match=DIGEST):
        place.trees().fetch(KEY)
    assert left(place, "one") == []


def test_in_a_folder_it_is_used_where_it_stands(tmp_path: Path) -> None:
    place = Place(StorageSettings(), tmp_path)
    assert write(place.trees("trainer"), KEY) == place.trees("replica").fetch(KEY) == tmp_path / KEY


def test_a_writer_that_is_killed_before_the_list_of_files_leaves_no_tree(bucket: Place) -> None:
    killed(bucket, "listing")
    assert len(objects(bucket)) == len(FILES)
    nothing_and_then_all(bucket)


@pytest.mark.slow
def test_a_writer_that_is_killed_before_the_rename_leaves_no_tree_in_a_folder(tmp_path: Path) -> None:
    place = Place(StorageSettings(), tmp_path)
    killed(place, "rename")
    nothing_and_then_all(place)


def test_a_writer_that_is_killed_after_the_list_of_files_leaves_a_whole_tree(bucket: Place) -> None:
    killed(bucket, "rename")
    assert content(bucket.trees("replica").fetch(KEY)) == FILES


def nothing_and_then_all(place: Place) -> None:
    reader = place.trees("replica")
    assert reader.digests("adapters/support") == []
    with pytest.raises(FileNotFoundError):
        reader.fetch(KEY)
    subprocess.run(command(place, "trainer", "never"), check=True)
    assert content(reader.fetch(KEY)) == FILES


def killed(place: Place, moment: str) -> None:
    done = subprocess.run(command(place, "trainer", moment), check=False)
    assert done.returncode == -signal.SIGKILL


def command(place: Place, machine: str, moment: str) -> list[str]:
    settings = msgspec.json.encode(place.settings).decode()
    module = "tests.streams.support.tree_writer"
    return [sys.executable, "-m", module, settings, str(place.var(machine)), KEY, moment]


def test_two_writers_of_one_digest_both_end_well(place: Place) -> None:
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda machine: write(place.trees(machine), KEY), ("one", "two")))
    assert [content(path) for path in paths] == [FILES, FILES]
    assert content(place.trees("three").fetch(KEY)) == FILES


def test_of_two_writers_with_other_bytes_readers_see_one(place: Place) -> None:
    """Equal rows may be other bytes where another release wrote the Parquet file: no mixture of both is ever seen."""
    others = {name: data + b" " for name, data in FILES.items()}
    write(place.trees("one"), KEY)
    write(place.trees("two"), KEY, others)
    assert content(place.trees("three").fetch(KEY)) == FILES


def test_the_same_bytes_are_fetched_once(s3: S3, bucket: Place) -> None:
    write(bucket.trees("trainer"), KEY)
    s3.asked.clear()
    with ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(lambda _: bucket.trees("replica").fetch(KEY), range(3)))
    assert len(set(paths)) == 1
    assert len(s3.requests("GET")) == 1 + len(FILES)
    s3.for_ever = SLOW_DOWN
    assert content(bucket.trees("replica").fetch(KEY)) == FILES, "no store is needed any more"
    assert content(bucket.trees("trainer").fetch(KEY)) == FILES


def objects(place: Place) -> list[str]:
    return [key for key in place.trees().store.list(KEY) if not key.endswith("tree.json")]


def spoil(place: Place, key: str, data: bytes) -> None:
    store = place.trees().store
    assert store.put_if_match(key, data, store.get(key).etag)


def test_a_truncated_object_is_named_and_leaves_nothing(bucket: Place) -> None:
    write(bucket.trees("trainer"), KEY)
    (key,) = (key for key in objects(bucket) if key.endswith("-one.bin"))
    spoil(bucket, key, FILES["one.bin"][:-1])
    with pytest.raises(DamagedTree, match=rf"{key}: found 25599 bytes .* expected 25600 bytes"):
        bucket.trees("replica").fetch(KEY)
    assert left(bucket, "replica") == []


def test_other_bytes_of_the_same_size_are_named_with_both_digests(bucket: Place) -> None:
    write(bucket.trees("trainer"), KEY)
    (key,) = (key for key in objects(bucket) if key.endswith("-two.json"))
    spoil(bucket, key, b"[]")
    with pytest.raises(DamagedTree, match=rf"{key}: found 2 bytes with sha256 4f53.* expected .* 44136"):
        bucket.trees("replica").fetch(KEY)
    assert left(bucket, "replica") == []


def test_a_missing_object_is_no_missing_tree(bucket: Place) -> None:
    write(bucket.trees("trainer"), KEY)
    bucket.trees().store.delete(objects(bucket)[0])
    with pytest.raises(DamagedTree, match="found nothing, expected"):
        bucket.trees("replica").fetch(KEY)
    assert left(bucket, "replica") == []


@pytest.mark.parametrize(
    "listing", ["", "[]", '{"../x": {"sha256": "a", "size": 1}}', '{"a/b": {"sha256": "a", "size": 1}}']
)
def test_a_list_of_files_that_is_none_writes_nothing_anywhere(bucket: Place, listing: str) -> None:
    write(bucket.trees("trainer"), KEY)
    spoil(bucket, f"{KEY}/tree.json", listing.encode())
    with pytest.raises(DamagedTree, match=r"tree\.json: .*expected names"):
        bucket.trees("replica").fetch(KEY)
    assert left(bucket, "replica") == []


def test_whoever_puts_a_damaged_tree_again_mends_it(bucket: Place) -> None:
    write(bucket.trees("trainer"), KEY)
    one, two = objects(bucket)
    spoil(bucket, one, b"short")
    bucket.trees().store.delete(two)
    write(bucket.trees("another"), KEY)
    assert content(bucket.trees("replica").fetch(KEY)) == FILES


def test_what_the_reader_does_not_take_stays_in_no_cache(bucket: Place) -> None:
    def refuse(folder: Path) -> None:
        assert content(folder) == FILES
        raise ValueError("another digest")

    write(bucket.trees("trainer"), KEY)
    with pytest.raises(ValueError, match="another digest"):
        bucket.trees("replica").fetch(KEY, refuse)
    assert left(bucket, "replica") == []


def test_a_fetch_that_was_killed_is_begun_again(bucket: Place) -> None:
    write(bucket.trees("trainer"), KEY)
    trees = bucket.trees("replica")
    half = (trees.home / KEY).with_name(f".{DIGEST}.part")
    half.mkdir(parents=True)
    (half / "one.bin").write_bytes(b"half")
    (half / "strange").write_bytes(b"")
    assert content(trees.fetch(KEY)) == FILES
    assert not half.exists()


def test_a_store_that_is_away_is_no_missing_tree(s3: S3, bucket: Place) -> None:
    write(bucket.trees("trainer"), KEY)
    s3.for_ever = SLOW_DOWN
    with pytest.raises(StorageError, match=r"storage\.url"):
        bucket.trees("replica", patience_s=0.5).fetch(KEY)
    s3.for_ever, s3.refusals = None, [SLOW_DOWN] * 4
    assert content(bucket.trees("replica").fetch(KEY)) == FILES


def test_a_copy_that_was_forgotten_is_fetched_again(bucket: Place) -> None:
    write(bucket.trees("trainer"), KEY)
    trees = bucket.trees("replica")
    (trees.fetch(KEY) / "two.json").write_bytes(b"altered")
    trees.forget(KEY)
    assert content(trees.fetch(KEY)) == FILES
