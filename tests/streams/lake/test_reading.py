"""The lake's doors: what they give, each in parts, is what reading all of it gives. On a folder and on S3."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from msgspec.structs import replace

from streams.events import AlarmRaised, FeedbackGiven, InferenceServed
from streams.kinds import AlarmKind, Severity
from streams.lake import lake as doors
from streams.lake.compaction import MANY, _compact, compact
from streams.lake.lake import Lake
from streams.lake.table import events, schema
from streams.reports import reporter as evidence
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import ids, put, stored
from tests.streams.support.traffic import START_MS, feedback, served

START_DAY = datetime.fromtimestamp(START_MS / 1_000, UTC).date()


@pytest.fixture
def full(lake: Lake) -> Lake:
    """Two partitions, small files, times that go back and forth, some events twice, and two aliases."""
    rng = random.Random(1)
    numbers = [i + rng.randrange(-30, 30) for i in range(300)] + [7, 8, 250]
    for partition, some in enumerate((numbers[::2], numbers[1::2])):
        made = [served("support", max(0, number)) for number in some]
        put(lake, INFERENCE, [*made, served("billing", 3)], partition, together=60)
    return lake


def test_rows_filter_and_read_orders_by_time_each_id_once(full: Lake) -> None:
    since, until = START_MS + 200 * 50, START_MS + 200 * 100
    mine = full.read(INFERENCE, alias="support", since_ms=since, until_ms=until)
    times = mine["time_ms"].to_pylist()
    assert times == sorted(times)
    assert all(since <= each < until for each in times)
    found = [
        id
        for part in full.rows(INFERENCE, alias="support", since_ms=since, until_ms=until)
        for id in part["id"].to_pylist()
    ]
    assert {*found} == {*mine["id"].to_pylist()}
    assert len(mine) == len({*found}) < len(found)
    assert full.read(INFERENCE, alias="billing")["partition"].to_pylist() == [0]
    assert full.count(INFERENCE, "support") == full.read(INFERENCE, alias="support").num_rows
    assert full.partitions(INFERENCE) == [0, 1]


def test_only_the_columns_asked_for_are_read(full: Lake) -> None:
    found = list(full.rows(INFERENCE, alias="billing", columns=("offset", "output")))
    assert {tuple(part.column_names) for part in found} == {("offset", "output")}
    assert sum(part.num_rows for part in found) == 2


@pytest.mark.parametrize("at_once", [10_000, 7])
def test_rows_by_id_are_those_that_reading_all_of_them_gives(
    full: Lake, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(doors, "IDS_AT_ONCE", at_once)
    whole = full.read(INFERENCE, alias="support")
    wanted = whole["id"].to_pylist()[5:250:9]
    found = list(full.by_ids(INFERENCE, [*wanted, "lost", "it's", *wanted], alias="support"))
    together = pa.concat_tables(found).sort_by([("time_ms", "ascending"), ("partition", "ascending")])
    assert together.equals(whole.filter(pc.is_in(whole["id"], value_set=pa.array(wanted))))
    assert (len(found) > 1) == (at_once == 7)
    assert list(full.by_ids(INFERENCE, [])) == []
    (few,) = full.by_ids(INFERENCE, wanted[:3], columns=("output", "id"))
    assert few.column_names == ["output", "id"]


def test_labels_are_found_by_the_reply_they_are_about(lake: Lake) -> None:
    replies = [served("support", i) for i in range(20)]
    said = [feedback(each, True) for each in replies] + [replace(feedback(replies[4], False), id="another")]
    put(lake, FEEDBACK, said)
    (found,) = lake.by_ids(FEEDBACK, [replies[4].id, replies[9].id], column="event_id", columns=("event_id", "loss"))
    assert sorted(found.to_pylist(), key=str) == [
        {"event_id": replies[4].id, "loss": 0.0},
        {"event_id": replies[4].id, "loss": 1.0},
        {"event_id": replies[9].id, "loss": 0.0},
    ]


@pytest.mark.parametrize("at_once", [4_000, 13])
def test_a_partition_comes_in_the_order_of_its_offsets(
    full: Lake, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(doors, "OFFSETS_AT_ONCE", at_once)
    parts = list(full.in_log_order(INFERENCE, 1, first=20, end=140))
    assert [offset for part in parts for offset in part["offset"].to_pylist()] == list(range(20, 140))
    assert all(part.schema == schema(InferenceServed) for part in parts)
    assert list(full.in_log_order(INFERENCE, 1, first=20, end=20)) == []
    assert list(full.in_log_order(INFERENCE, 5)) == []
    assert list(full.in_log_order(INFERENCE, 1, topic_id="another")) == []


def test_no_lake_has_no_rows_but_columns(lake: Lake) -> None:
    assert lake.read(FEEDBACK).schema == schema(FeedbackGiven)
    assert lake.read(FEEDBACK).num_rows == lake.count(INFERENCE, "support") == 0
    assert [*lake.rows(INFERENCE), *lake.by_ids(INFERENCE, ["a"]), *lake.partitions(FEEDBACK)] == []
    assert compact(lake, START_DAY) == 0


def test_files_of_days_that_are_over_are_merged_and_no_row_changes(lake: Lake) -> None:
    """A day that is not over is left alone until it has many files."""
    day_ms = 86_400_000
    for day in range(3):
        made = [served("support", 100 * day + i, time_ms=START_MS + day * day_ms + i) for i in range(20)]
        put(lake, INFERENCE, made, day, together=5)
    before = stored(lake)
    assert compact(lake, START_DAY + timedelta(days=2)) == 8
    assert stored(lake) == before
    table = lake.table(INFERENCE)
    assert table is not None
    assert len(table.file_uris()) == 1 + 1 + 4
    assert compact(lake, START_DAY + timedelta(days=2)) == 0
    put(lake, INFERENCE, [served("support", 900)], 0, 20)  # late, and a partition goes on after a merge
    put(lake, INFERENCE, [served("support", 0)], 0, 0)
    assert len(ids(lake, INFERENCE)) == 61
    assert MANY > 4


def test_two_who_merge_the_same_files_double_no_row(lake: Lake) -> None:
    """Each of them loaded the table before the other's merge, or while the other merges."""
    tomorrow = START_DAY + timedelta(days=1)
    for first in (0, 20):
        made = [served("support", first + i, time_ms=START_MS + i) for i in range(20)]
        put(lake, INFERENCE, made, 0, first, together=5)
        tables = [lake.table(INFERENCE) for _ in range(3)]
        assert [_compact(table, tomorrow) for table in tables if table is not None][1:] == [0, 0]
        with ThreadPoolExecutor(3) as pool:
            put(lake, INFERENCE, [served("support", 900 + first)], 1, first)
            list(pool.map(lambda _: compact(lake, tomorrow), range(3)))
        assert set(ids(lake, INFERENCE).values()) == {1}
    assert len(ids(lake, INFERENCE)) == 42


@pytest.mark.slow
def test_the_sides_are_the_same_whether_the_rows_come_at_once_or_in_parts(full: Lake) -> None:
    alarm = msgspec.convert(
        {
            **dict.fromkeys(("id", "first_event", "last_event", "summary"), ""),
            "alias": "support",
            "version": served("support", 0).version,
            "evidence": {},
            "kind": AlarmKind.DRIFT,
            "severity": Severity.INFO,
            "time_ms": START_MS + 200 * 260,
            "onset_ms": START_MS + 200 * 140,
        },
        AlarmRaised,
    )
    whole = full.read(INFERENCE, alias="support", until_ms=alarm.time_ms + 1)
    parts = [
        each.slice(at, 7)
        for each in full.rows(INFERENCE, alias="support", until_ms=alarm.time_ms + 1)
        for at in range(0, each.num_rows, 7)
    ]
    random.Random(2).shuffle(parts)
    for one, other in zip(evidence.sides(whole, alarm, 40), evidence.gathered(parts, alarm, 40), strict=True):
        assert one.num_rows == 40
        assert one.equals(other)


def test_events_come_back_as_they_were(lake: Lake) -> None:
    made = [served("support", i) for i in range(5)]
    odd = replace(
        made[0], id="odd", output="it's \u0000 null, \U0001f600 and \ud7ff", logprob_mean=None, comparable=False
    )
    put(lake, INFERENCE, [*made, odd])
    assert {each.id: each for each in events(InferenceServed, lake.read(INFERENCE))} == {e.id: e for e in [*made, odd]}
