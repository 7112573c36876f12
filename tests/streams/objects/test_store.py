"""Conditions hold between writers, on a folder and on S3's interface; errors name the setting."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from streams.objects import bucket as bucket_store
from streams.objects import store as objects
from streams.objects.bucket import BucketStore
from streams.objects.settings import StorageSettings
from streams.objects.store import StorageError
from tests.streams.objects.conftest import Place
from tests.support.s3 import DENIED, EXPIRED, S3, SLOW_DOWN


def test_what_is_absent_is_put_once(place: Place) -> None:
    store = place.trees().store
    assert store.put_if_absent("a/b", b"one")
    assert not store.put_if_absent("a/b", b"two")
    assert store.put_if_absent("a/b", b"one"), "it stands there"
    assert store.get("a/b").data == b"one"


def test_a_file_is_put_as_its_bytes_are(place: Place, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"\0\1")
    assert place.trees().store.put_if_absent("a", tmp_path / "source")
    assert place.trees("two").store.get("a").data == b"\0\1"


def test_only_what_was_read_is_replaced(place: Place) -> None:
    store = place.trees().store
    assert store.put_if_absent("a", b"one")
    etag = store.get("a").etag
    assert store.put_if_match("a", b"two", etag)
    assert not store.put_if_match("a", b"three", etag)
    assert not store.put_if_match("none", b"three", etag)
    assert store.get("a").data == b"two"


def test_keys_are_listed_under_their_prefix(place: Place) -> None:
    store = place.trees().store
    for key in ("x/b", "x/a/c", "xy/d", "z"):
        store.put_if_absent(key, b"")
    assert list(store.list("x")) == ["x/a/c", "x/b"]
    assert list(store.list("nothing")) == []
    now_s = time.time()
    assert list(store.older("x", now_s - 60)) == []
    assert list(store.older("x", now_s + 60)) == ["x/a/c", "x/b"]


def test_what_is_deleted_is_gone_and_may_be_put_again(place: Place) -> None:
    store = place.trees().store
    store.put_if_absent("a", b"one")
    store.delete("a")
    store.delete("a")
    with pytest.raises(FileNotFoundError, match="a"):
        store.get("a")
    assert store.put_if_absent("a", b"two")


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".hidden", "a/.b", "a\0b", "a b"])
def test_a_key_that_leads_elsewhere_is_none(place: Place, key: str) -> None:
    store = place.trees().store
    for act in (lambda: store.put_if_absent(key, b""), lambda: store.get(key), lambda: list(store.list(key))):
        with pytest.raises(ValueError, match=re.escape(f"key {key!r}")):
            act()


def test_of_many_first_writers_one_is_first(place: Place) -> None:
    stores = [place.trees(f"m{i}").store for i in range(4)]
    for round in range(5):
        with ThreadPoolExecutor(len(stores)) as pool:
            done = list(pool.map(lambda at: stores[at].put_if_absent(f"r/{round}", b"%d" % at), range(len(stores))))  # noqa: B023
        assert sum(done) == 1
        assert stores[0].get(f"r/{round}").data == b"%d" % done.index(True)


def test_no_writer_overwrites_another_that_it_has_not_read(place: Place) -> None:
    """Each adds one, twenty times, whoever else does."""
    place.trees().store.put_if_absent("count", b"0")

    def add(machine: int) -> None:
        store, left = place.trees(f"m{machine}").store, 20
        while left:
            found = store.get("count")
            mine = b"%d %d.%d" % (int(found.data.split()[0]) + 1, machine, left)  # no other writer's bytes
            left -= store.put_if_match("count", mine, found.etag)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, range(3)))
    assert place.trees().store.get("count").data.split()[0] == b"60"


def test_a_replacement_stands_whatever_stood_there(place: Place) -> None:
    store = place.trees().store
    for content in (b"one", b"two", b"two"):
        objects.replace(store, "a", content)
        assert store.get("a").data == content


def test_an_answer_that_was_lost_makes_no_writer_believe_it_was_second(s3: S3, bucket: Place) -> None:
    store = bucket.trees().store
    s3.lost_answers = 1
    assert store.put_if_absent("a", b"one")
    etag = store.get("a").etag
    s3.lost_answers = 1
    assert store.put_if_match("a", b"two", etag)
    assert store.get("a").data == b"two"


def test_a_put_without_an_answer_is_tried_again(s3: S3, bucket: Place) -> None:
    """The library leaves it alone, since it may have been carried out."""
    slow = Place(s3.storage(bucket.folder.name, timeout="300ms"), bucket.folder)
    s3.mute_s = [0.6]
    assert slow.trees().store.put_if_absent("a", b"one")
    assert len(s3.requests("PUT", "/a")) == 2


def test_a_store_that_is_busy_for_some_seconds_is_waited_for(s3: S3, bucket: Place) -> None:
    store = bucket.trees(patience_s=30).store
    s3.refusals = [SLOW_DOWN] * 5
    assert store.put_if_absent("a", b"one")
    s3.refusals = [SLOW_DOWN] * 5
    assert store.get("a").data == b"one"


def test_one_that_stays_away_is_an_error_that_names_the_setting(s3: S3, bucket: Place) -> None:
    store, began = bucket.trees(patience_s=1).store, time.monotonic()
    s3.for_ever = SLOW_DOWN
    for act in (lambda: store.put_if_absent("a", b""), lambda: store.get("a"), lambda: list(store.list("a"))):
        with pytest.raises(StorageError, match=r"storage\.url is 's3://.*': a: .*SlowDown|: a: .*503"):
            act()
    assert 3 <= time.monotonic() - began < 30


def test_no_server_at_the_address_is_such_an_error(s3: S3, bucket: Place) -> None:
    gone = Place(s3.storage("p", endpoint="http://127.0.0.1:9"), bucket.folder)
    with pytest.raises(StorageError, match=r"storage\.url is 's3://homeostat/p': a: .*http://127\.0\.0\.1:9"):
        gone.trees(patience_s=1).store.get("a")


@pytest.mark.parametrize(("refusal", "reason"), [(EXPIRED, "ExpiredToken: The provided"), (DENIED, "AccessDenied")])
def test_what_a_key_may_not_is_said_at_once(s3: S3, bucket: Place, refusal: object, reason: str) -> None:
    store = bucket.trees(patience_s=30).store
    s3.for_ever = refusal  # type: ignore[assignment]
    began = time.monotonic()
    for act in (lambda: store.put_if_absent("a", b""), lambda: store.get("a"), lambda: list(store.list("a"))):
        with pytest.raises(StorageError, match=rf"{reason}.*the credentials in the environment"):
            act()
    assert time.monotonic() - began < 5


def test_a_bucket_that_is_not_there_is_no_missing_object(s3: S3, bucket: Place) -> None:
    store = Place(s3.storage("p", bucket="nowhere"), bucket.folder).trees().store
    for act in (lambda: store.put_if_absent("a", b""), lambda: store.get("a"), lambda: list(store.list("a"))):
        with pytest.raises(StorageError, match=r"storage\.url is 's3://nowhere/p': a: NoSuchBucket"):
            act()


def test_two_prefixes_of_a_bucket_know_nothing_of_each_other(s3: S3, bucket: Place) -> None:
    one, two = (Place(s3.storage(f"{bucket.folder.name}/{name}"), bucket.folder) for name in "ab")
    assert one.trees().store.put_if_absent("k", b"1")
    assert two.trees().store.put_if_absent("k", b"2")
    assert list(two.trees().store.list("k")) == []
    assert isinstance(two.trees().store, BucketStore)


@pytest.mark.parametrize(
    ("url", "options", "named"),
    [
        ("s3://bucket/p", {"metadata_endpoint": "http://127.0.0.1:1", "allow_http": "true"}, "AWS_ACCESS_KEY_ID"),
        (
            "az://container/p",
            {"azure_storage_account_name": "a", "azure_msi_endpoint": "http://127.0.0.1:1/token", "allow_http": "true"},
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
    ],
)
def test_without_credentials_it_says_soon_what_to_set(
    monkeypatch: pytest.MonkeyPatch, url: str, options: dict[str, str], named: str
) -> None:
    """The library asks the role of the machine, as patiently as the bucket."""
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(bucket_store, "ROLE_S", 0.5)
    store, began_s = bucket_store.opened(StorageSettings(url=url, options=options), 60.0), time.monotonic()
    with pytest.raises(StorageError, match=rf"{url}: no credentials, see storage\.url: .*\({named}, "):
        store.holds("key")
    assert time.monotonic() - began_s < 20


@pytest.mark.slow
def test_where_no_credentials_are_wanted_none_are_asked_for(
    s3: S3, bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    settings = replace(bucket.settings, options=bucket.settings.options | {"skip_signature": "true"})
    store = bucket_store.opened(settings, 60.0)
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match="no such object"):
            store.get("key")
    assert len(s3.requests("HEAD")) == 1
