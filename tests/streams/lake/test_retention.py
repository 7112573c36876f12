"""Days that are over go, with their bytes, beside a writer and beside readers. On a folder and on S3."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from streams.lake.lake import Lake
from streams.lake.retention import expire, tables, vacuum
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import ids, put
from tests.streams.support.traffic import START_MS, feedback, served

DAY_MS = 86_400_000
FIRST = datetime.fromtimestamp(START_MS / 1_000, UTC).date()


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


@pytest.fixture
def week(lake: Lake) -> Lake:
    """Seven days of ten replies, each with a label."""
    for number in range(7):
        made = [served("support", 10 * number + i, time_ms=START_MS + number * DAY_MS + i) for i in range(10)]
        put(lake, INFERENCE, made, number)
        put(lake, FEEDBACK, [feedback(each, True) for each in made], number)
    return lake


def files(lake: Lake) -> int:
    """How many lie there, whether a table has them or not."""
    if "://" not in lake.url:
        return len(list(Path(lake.url).rglob("*.parquet")))
    names = [each["path"] for some in obstore.list(bucket(lake)) for each in some]
    return sum(name.endswith(".parquet") for name in names)


def bucket(lake: Lake) -> S3Store:
    endpoint, region = (lake.options[name] for name in ("endpoint", "region"))
    return S3Store.from_url(lake.url, endpoint=endpoint, region=region, client_options={"allow_http": True})


def test_days_before_go_and_what_is_read_of_the_others_stays(week: Lake) -> None:
    before = sorted(ids(week, INFERENCE))
    assert expire(week, day(0)) == 0
    assert expire(week, day(3)) == 60
    assert sorted(ids(week, INFERENCE)) == before[30:]
    assert [each.days for each in tables(week)] == [(day(3), day(6))] * 2
    assert expire(week, day(3)) == 0


def test_deleted_files_go_for_good_once_they_are_old_enough(week: Lake) -> None:
    expire(week, day(3))
    assert [vacuum(week, 1), files(week)] == [0, 14]
    assert vacuum(week, 0) == 6
    assert files(week) == 8


def test_a_reader_under_way_reads_to_its_end(week: Lake) -> None:
    reading = week.rows(INFERENCE, columns=("id",))
    first = next(reading)
    expire(week, day(5))
    vacuum(week, 1)
    assert first.num_rows + sum(part.num_rows for part in reading) == 70


def test_no_row_that_is_written_meanwhile_is_lost(week: Lake) -> None:
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not stop.is_set():
            put(week, INFERENCE, [served("support", 1_000 + written, time_ms=START_MS + 9 * DAY_MS)], 9, written)
            written += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(1, 8):
            expire(week, day(number))
            vacuum(week, 1)
    finally:
        stop.set()
        writer.join()
    assert written > 0
    assert len(ids(week, INFERENCE)) == written


def test_what_a_killed_writer_left_goes_too(lake: Lake) -> None:
    put(lake, INFERENCE, [served("support", 1)])
    table = lake.table(INFERENCE)
    assert table is not None
    (whole,) = table.file_uris()
    orphan = whole.replace("part-", "part-orphan-")
    _copy(lake, whole, orphan)
    assert [files(lake), vacuum(lake, 1), vacuum(lake, 0), files(lake)] == [2, 0, 1, 1]
    assert len(ids(lake, INFERENCE)) == 1


def _copy(lake: Lake, one: str, another: str) -> None:
    if "://" in lake.url:
        obstore.copy(bucket(lake), *(each.removeprefix(lake.url + "/") for each in (one, another)))
    else:
        Path(another).write_bytes(Path(one).read_bytes())


def test_a_lake_that_is_not_there_needs_no_care(lake: Lake) -> None:
    assert [expire(lake, day(3)), vacuum(lake, 1), tables(lake)] == [0, 0, []]
