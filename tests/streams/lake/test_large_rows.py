"""Rows of 40 KB through each door: what is in memory is bounded by bytes, not by rows. Each in a process of its own,
whose peak is its own: `python -m tests.streams.lake.test_large_rows FOLDER DOOR`."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from msgspec.structs import replace

from streams.events import InferenceServed
from streams.lake.compaction import compact
from streams.lake.delta import GROUP_ROWS, compressed, rows_at_once
from streams.lake.lake import Lake
from streams.messages import Message
from streams.topics import INFERENCE
from tests.streams.lake.test_reading import START_DAY
from tests.streams.support.lakes import at, ids, put
from tests.streams.support.traffic import served

ROWS, TOGETHER, MIB = 12_000, 2_000, 1_048_576
MOST = 400 * MIB  # of 480 MB of texts, which take three times as much where all are decoded at once
DOORS: dict[str, Callable[[Lake], Iterator[pa.Table]]] = {
    "rows": lambda lake: lake.rows(INFERENCE, alias="support"),
    "by_ids": lambda lake: lake.by_ids(INFERENCE, [served("support", number).id for number in range(ROWS)]),
    "in_log_order": lambda lake: lake.in_log_order(INFERENCE, 0),
}


def large(number: int, text: str) -> InferenceServed:
    start = random.Random(number).randrange(len(text) - 40_000)
    return replace(served("support", number), input_messages=[Message("user", text[start : start + 40_000])])


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A day of large rows, merged."""
    lake, text = at(tmp_path_factory.mktemp("large")), random.Random(0).randbytes(4 * MIB).hex()
    for first in range(0, ROWS, TOGETHER):
        put(lake, INFERENCE, [large(number, text) for number in range(first, first + TOGETHER)], 0, first)
    compact(lake, START_DAY + timedelta(days=2))
    return lake


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("door", DOORS)
def test_large_rows_take_no_more_memory_than_small_ones(day: Lake, door: str) -> None:
    command = [sys.executable, "-m", "tests.streams.lake.test_large_rows", day.url, door]
    rows, more = map(int, subprocess.check_output(command).split())
    assert rows == ROWS
    assert more < MOST, f"{more / MIB:.0f} MiB"


@pytest.mark.slow
def test_a_merged_day_has_each_row_once_and_is_decoded_few_rows_at_a_time(day: Lake) -> None:
    table = day.table(INFERENCE)
    assert table is not None
    assert rows_at_once(table) == 256
    assert len(ids(day, INFERENCE)) == ROWS


def test_small_rows_are_written_and_read_by_the_thousand(tmp_path: Path) -> None:
    lake = put(at(tmp_path), INFERENCE, [served("support", number) for number in range(200)])
    table = lake.table(INFERENCE)
    assert table is not None
    assert rows_at_once(table) == 8_192
    assert compressed(2_000, 2_000 * 1_000).max_row_group_size == GROUP_ROWS
    assert compressed(2_000, 2_000 * 40_000).max_row_group_size == 209


def peak() -> int:
    """Bytes, at most, that this process has had in memory."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(found.split()[1]) * 1_024


def main(folder: str, door: str) -> None:
    before = peak()
    rows = sum(part.num_rows for part in DOORS[door](Lake(folder)))
    print(rows, peak() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
