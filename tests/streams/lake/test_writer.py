"""Each row once, whoever writes, dies, freezes or is refused meanwhile; on a folder and on S3."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.events import InferenceServed
from streams.lake import compaction, delta
from streams.lake.lake import Lake
from streams.lake.table import rows
from streams.lake.writer import LakeWriter, application, unwritten
from streams.objects.opening import Storage
from streams.objects.store import StorageError
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import at, ids, put, stored, stretch
from tests.streams.support.traffic import feedback, served
from tests.support.s3 import S3, SLOW_DOWN, Refusal, is_commit

EVENTS = [served("support", i) for i in range(60)]
ONE = "an-id"


def write(writer: LakeWriter, first: int, end: int, partition: int = 0, id: str = ONE, base: int = 0) -> None:
    add(writer, first, end, partition, id, base)
    writer.commit()


def add(writer: LakeWriter, first: int, end: int, partition: int = 0, id: str = ONE, base: int = 0) -> None:
    writer.add(stretch(INFERENCE, partition, range(first - base, end - base), EVENTS[first:end], id))


def once(lake: Lake, count: int = 60) -> bool:
    """Whether the lake has each of the first events, once."""
    return ids(lake, INFERENCE) == {event.id: 1 for event in EVENTS[:count]}


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.sets(st.integers(1, 59), max_size=8),
    died_at=st.integers(0, 5),
    again=st.integers(0, 30),
    committed=st.sets(st.integers(0, 9)),
)
def test_how_batches_are_cut_and_a_crash_change_no_row(
    tmp_path_factory: pytest.TempPathFactory, cuts: set[int], died_at: int, again: int, committed: set[int]
) -> None:
    calm, rough = at(tmp_path_factory.mktemp("calm")), at(tmp_path_factory.mktemp("rough"))
    write(LakeWriter(calm, INFERENCE), 0, 60)
    work, edges = LakeWriter(rough, INFERENCE), [0, *sorted(cuts), 60]
    kept = 0
    for number, (first, end) in enumerate(pairwise(edges)):
        if number == died_at:
            work, first = LakeWriter(rough, INFERENCE), max(0, min(kept, first - again))
        add(work, first, end)
        if number in committed:
            work.commit()
            kept = end
    work.commit()
    assert stored(rough) == stored(calm)


def test_one_commit_has_the_rows_of_all_partitions_and_how_far_each_is(lake: Lake) -> None:
    writer = LakeWriter(lake, INFERENCE)
    for partition in range(3):
        add(writer, 20 * partition, 20 * partition + 20, partition, base=20 * partition)
    assert writer.waiting == 60
    writer.commit()
    table = lake.table(INFERENCE)
    assert table is not None
    assert (table.version(), writer.waiting) == (1, 0)
    assert [table.transaction_version(application(INFERENCE, ONE, each)) for each in range(4)] == [20, 20, 20, None]
    assert once(lake)


def test_nothing_to_write_makes_no_table_and_no_version(lake: Lake) -> None:
    writer = LakeWriter(lake, INFERENCE)
    writer.add(stretch(INFERENCE, 0, [], []))
    writer.commit()
    assert lake.table(INFERENCE) is None


def test_an_owner_that_froze_and_writes_late_adds_no_row(lake: Lake) -> None:
    """Two tables that were loaded at the same time: the frozen owner does not know what the other wrote meanwhile."""
    frozen, awake = LakeWriter(lake, INFERENCE), LakeWriter(lake, INFERENCE)
    write(frozen, 0, 5)
    write(awake, 5, 10)
    add(frozen, 5, 20)
    write(awake, 10, 40)
    frozen.commit()
    write(awake, 40, 60)
    write(frozen, 30, 60)
    assert once(lake)


def test_two_owners_write_what_the_other_has_not_written_yet(lake: Lake) -> None:
    """Both read the same records; their partitions differ for a while."""
    one, other = LakeWriter(lake, INFERENCE), LakeWriter(lake, INFERENCE)
    for first in range(0, 60, 12):
        add(one, first, first + 12)
        add(other, max(0, first - 6), first + 6)
        (one if first % 24 else other).commit()
        (other if first % 24 else one).commit()
    assert once(lake)


def test_owners_of_different_partitions_do_not_disturb_each_other(lake: Lake) -> None:
    writers = [LakeWriter(lake, INFERENCE) for _ in range(3)]
    for first in range(0, 60, 15):
        for number, writer in enumerate(writers):
            write(writer, first + 5 * number, first + 5 * number + 5, number)
    assert once(lake)


def test_workers_that_make_the_table_at_the_same_time_make_one(lake: Lake) -> None:
    writers = [LakeWriter(lake, INFERENCE) for _ in range(3)]
    at_once = threading.Barrier(len(writers))

    def work(number: int) -> None:
        add(writers[number], 20 * number, 20 * number + 20, number)
        at_once.wait()
        writers[number].commit()

    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(work, range(len(writers))))
    assert once(lake)


def test_who_looks_while_a_table_is_made_sees_none_or_the_table(tmp_path: Path) -> None:
    """A folder that was not there at the first question and was at the second was taken for another project's."""
    (tmp_path / "lakes").mkdir()
    lakes = [Lake(str(tmp_path / "lakes" / str(number))) for number in range(500)]
    looking = threading.Event()

    def make() -> None:
        looking.wait()
        for lake in lakes:
            Path(lake.url, "replies", delta.LOG).mkdir(parents=True)

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(make)
        looking.set()
        for lake in lakes:
            while not (Path(lake.url, "replies").exists() or made.done()):
                assert lake.table(INFERENCE) is None
        made.result()


@pytest.mark.slow
def test_merging_files_and_writing_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MANY", 2)
    lake, done = at(tmp_path), threading.Event()
    writer = LakeWriter(lake, INFERENCE)
    write(writer, 0, 1)

    def merge() -> int:
        replaced = 0
        while not done.is_set():
            replaced += compaction.compact(lake, date(2025, 1, 1))
        return replaced

    with ThreadPoolExecutor(1) as pool:
        merging = pool.submit(merge)
        for first in range(1, 60):
            write(writer, first, first + 1)
        done.set()
    assert merging.result() > 10
    assert once(lake)


def test_rows_taken_back_and_taken_again_before_a_commit_are_written_once(lake: Lake) -> None:
    """A partition was lost and came back, while its rows still waited."""
    writer = LakeWriter(lake, INFERENCE)
    add(writer, 0, 20)
    add(writer, 0, 30)
    add(writer, 10, 60)
    writer.commit()
    assert once(lake)


def test_a_topic_made_anew_begins_again_and_the_old_rows_stay(lake: Lake) -> None:
    write(LakeWriter(lake, INFERENCE), 0, 40, id="first")
    after = LakeWriter(lake, INFERENCE)
    write(after, 40, 50, id="second", base=40)
    write(after, 45, 60, id="second", base=40)
    assert once(lake)
    (whole,) = lake.in_log_order(INFERENCE, 0, topic_id="second")
    assert whole["offset"].to_pylist() == list(range(20))
    parts = list(lake.in_log_order(INFERENCE, 0))
    assert [id for part in parts for id in part["id"].to_pylist()] == [event.id for event in EVENTS]


def test_how_far_a_partition_is_outlives_checkpoints(lake: Lake) -> None:
    writer = LakeWriter(lake, INFERENCE)
    for first in range(0, 60, 6):
        write(writer, first, first + 6)
    table = lake.table(INFERENCE)
    assert table is not None
    table.create_checkpoint()
    write(LakeWriter(lake, INFERENCE), 0, 60)
    assert once(lake)


@pytest.mark.slow
def test_a_store_that_is_away_for_a_while_loses_and_doubles_nothing(s3: S3) -> None:
    lake = Lake("s3://homeostat/away", s3.options)
    writer = LakeWriter(lake, INFERENCE)
    write(writer, 0, 20)
    s3.for_ever = SLOW_DOWN
    add(writer, 20, 40)
    for _ in range(2):
        with pytest.raises(Exception, match="SlowDown"):
            writer.commit()
    assert writer.waiting == 20
    s3.reset()
    add(writer, 40, 60)
    writer.commit()
    assert once(lake)


@pytest.mark.slow
def test_a_commit_whose_answer_was_lost_is_made_once(s3: S3) -> None:
    """The store has the commit, its writer does not know."""
    lake = Lake("s3://homeostat/lost-answer", s3.options)
    writer, lost = LakeWriter(lake, INFERENCE), list[str]()
    write(writer, 0, 20)

    def lose(method: str, path: str) -> None:
        if is_commit(method, path) and not lost:
            lost.append(path)
            raise ConnectionResetError

    s3.after = lose
    add(writer, 20, 60)
    try:
        writer.commit()
    except Exception:  # the library may give up; its caller tries again
        writer.commit()
    assert len(lost) == 1
    assert once(lake)


def test_a_full_disk_stops_before_the_rows_count_as_written(tmp_path: Path) -> None:
    lake = at(tmp_path)
    writer = LakeWriter(lake, INFERENCE)
    write(writer, 0, 10)
    add(writer, 10, 60)
    with full_disk(), pytest.raises(Exception, match="File too large"):
        writer.commit()
    assert once(lake, 10)
    assert writer.waiting == 50
    writer.commit()
    assert once(lake)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may have more than a KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_table_of_before_a_column_was_there_is_read_and_appended_to(lake: Lake) -> None:
    """And one that has a column more, of a later release."""
    older = rows(InferenceServed, 0, list(range(20)), EVENTS[:20], ONE).drop_columns(["comparable"])
    where = delta.address(lake.url, INFERENCE)
    store = {**delta.PATIENCE, **lake.options}
    DeltaTable.create(
        where,
        older.schema,
        partition_by=["log_day"],
        configuration={delta.OURS: INFERENCE.name, **delta.PROPERTIES},
        storage_options=store,
        raise_if_key_not_exists=False,
    )
    write_deltalake(where, older, mode="append", storage_options=store)
    assert lake.read(INFERENCE)["comparable"].null_count == 20
    write(LakeWriter(lake, INFERENCE), 20, 40)
    assert once(lake, 40)
    later = rows(InferenceServed, 0, [40], EVENTS[40:41], ONE).append_column("to_come", [["x"]])
    table = lake.table(INFERENCE)
    assert table is not None
    write_deltalake(table, later, mode="append", schema_mode="merge")
    write(LakeWriter(lake, INFERENCE), 41, 60)
    assert once(lake)
    assert lake.read(INFERENCE).schema == rows(InferenceServed, 0, [], []).schema


def test_labels_are_kept_the_same_way(lake: Lake) -> None:
    labels = [feedback(event, i % 3 == 0) for i, event in enumerate(EVENTS)]
    put(lake, FEEDBACK, labels, together=25)
    assert lake.read(FEEDBACK)["loss"].to_pylist() == [float(i % 3 > 0) for i in range(60)]


def test_rows_that_a_table_has_are_dropped_and_gaps_are_kept() -> None:
    held = [stretch(INFERENCE, 0, range(a, b), EVENTS[a:b]) for a, b in ((0, 10), (5, 20), (30, 40), (35, 38))]
    found, ends = unwritten(INFERENCE, held, lambda name: 4)
    assert [offset for each in found for offset in each["offset"].to_pylist()] == [*range(4, 20), *range(30, 40)]
    assert ends == {"inference.events/0": 40}


def test_a_folder_of_an_earlier_lake_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "replies" / "partition=0").mkdir(parents=True)
    file = tmp_path / "replies" / "partition=0" / "rows.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(delta.LakeRefused, match=r"replies is there and is no Delta table, see storage\.url"):
        write(LakeWriter(at(tmp_path), INFERENCE), 0, 5)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["replies/rows.parquet", "replies/partition=0/rows.parquet", "replies/0/a/b"])
def test_a_prefix_with_other_objects_is_refused_and_stays_as_it_is(s3: S3, tmp_path: Path, key: str) -> None:
    storage = Storage(s3.storage(tmp_path.name, timeout="3s"), tmp_path)
    storage.objects().put_if_absent(f"lake/{key}", b"theirs")
    writer = LakeWriter(Lake.of(storage), INFERENCE)
    writer.add(stretch(INFERENCE, 0, range(10), EVENTS[:10]))
    with pytest.raises(delta.LakeRefused, match=r"lake/replies is there and is no Delta table, see storage\.url"):
        writer.commit()
    assert list(storage.objects().list("lake")) == [f"lake/{key}"]
    put(Lake.of(storage), FEEDBACK, [])
    assert Lake.of(storage).table(FEEDBACK) is None, "the other table has its own place"


def test_the_earlier_lake_next_to_it_is_named_with_how_to_read_it(tmp_path: Path) -> None:
    assert delta.earlier(str(tmp_path)) == ""
    folder = tmp_path / "inference.events" / "partition=0"
    folder.mkdir(parents=True)
    (folder / "00000000000000000000.parquet").write_bytes(b"PAR1")
    assert f"DuckDB reads '{tmp_path}/inference.events/*/*.parquet'" in delta.earlier(str(tmp_path))


def test_the_table_of_another_project_is_refused_and_stays_as_it_is(lake: Lake) -> None:
    theirs = rows(InferenceServed, 0, list(range(5)), EVENTS[:5])
    where = delta.address(lake.url, INFERENCE)
    store = {**delta.PATIENCE, **lake.options}
    write_deltalake(where, theirs, storage_options=store)
    with pytest.raises(delta.LakeRefused, match=r"homeostat\.topic = None.*another project's, see storage\.url"):
        write(LakeWriter(lake, INFERENCE), 0, 5)
    assert DeltaTable(where, storage_options=store).version() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (("403 Forbidden", "ExpiredToken"), r"see AWS_SESSION_TOKEN: the credentials have expired"),
        (("403 Forbidden", "RequestTimeTooSkewed"), r"see this machine's clock"),
        (("403 Forbidden", "InvalidAccessKeyId"), r"see AWS_ACCESS_KEY_ID"),
        (("403 Forbidden", "AccessDenied"), r"see storage\.url: these credentials may not"),
        (("404 Not Found", "NoSuchBucket"), r"see storage\.url: there is no such bucket"),
        (("400 Bad Request", "AuthorizationHeaderMalformed"), r"see storage\.options: the bucket is in another region"),
        (("301 Moved Permanently", "PermanentRedirect"), r"see storage\.options: the bucket is in another region"),
    ],
)
def test_a_store_that_refuses_is_named_with_its_setting(s3: S3, answer: tuple[str, str], named: str) -> None:
    lake = Lake(f"s3://homeostat/refused-{answer[1]}", s3.options)
    writer = LakeWriter(lake, INFERENCE)
    write(writer, 0, 5)
    s3.for_ever = Refusal(*answer, "")
    with pytest.raises(delta.LakeRefused, match=named):
        lake.table(INFERENCE)
    add(writer, 5, 60)
    with pytest.raises(delta.LakeRefused, match=named):
        writer.commit()
    s3.reset()
    writer.commit()
    assert once(lake)


def test_a_file_in_the_tables_place_and_an_empty_log_are_named(tmp_path: Path) -> None:
    (tmp_path / "replies").write_text("mine")
    log = tmp_path / "feedback" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").touch()  # as a power cut may leave it
    for topic, why in (INFERENCE, "something else than a table"), (FEEDBACK, "log is damaged"):
        with pytest.raises(delta.LakeRefused, match=rf"see storage\.url and stack\.var: .*{why}"):
            Lake(str(tmp_path)).table(topic)


@pytest.mark.parametrize("name", ["[x]", "a%20b", "a\\b", "a^b", "a|b", "a\tb"])
def test_a_folder_that_the_library_would_take_for_another_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(delta.LakeRefused, match=r"see storage\.url and stack\.var: .* cannot use such a path"):
        write(LakeWriter(Lake(str(tmp_path / name)), INFERENCE), 0, 5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "a#b", "a?b", "ü — 漢", "a:b", "50%", "quote'\"", "~x"])
def test_odd_names_of_folders_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    lake = Lake(str(tmp_path / name))
    for first in (0, 5):
        write(LakeWriter(lake, INFERENCE), first, first + 5)
    assert compaction.compact(lake, date(2100, 1, 1)) == 2
    assert len(lake.read(INFERENCE)) == 10
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("url", ["s3://bucket/a//b", "s3://bucket/[x]"])
def test_a_prefix_that_the_library_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(delta.LakeRefused, match=r"see storage\.url"):
        Lake(url).table(INFERENCE)


@pytest.mark.slow
def test_a_wrong_bucket_a_wrong_option_and_an_unknown_kind_of_address_are_named(s3: S3) -> None:
    for lake, named in (
        (Lake("s3://nowhere/lake", s3.options), r"see storage\.url: there is no such bucket"),
        (Lake("s3://homeostat/x", s3.options | {"allow_http": "perhaps"}), r"see storage\.options"),
        (Lake("ftp8://lake/x"), r"see storage\.url: expected a folder, s3://"),
    ):
        with pytest.raises(delta.LakeRefused, match=named):
            lake.table(INFERENCE)
        with pytest.raises(delta.LakeRefused, match=named):
            write(LakeWriter(lake, INFERENCE), 0, 5)


def test_a_file_in_the_lakes_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("mine")
    with pytest.raises(delta.LakeRefused, match=r"lake is a file, see storage\.url and stack\.var: expected a folder"):
        Lake(str(tmp_path / "lake")).table(INFERENCE)


def test_without_credentials_the_lake_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine's role may come back, so a writer tries again."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(StorageError, match=r"replies: no credentials, see storage\.url: .*AWS_ACCESS_KEY_ID, "):
        Lake("s3://bucket/lake", {"region": "us-east-1"}).table(INFERENCE)
