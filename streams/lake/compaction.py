"""Small files of the lake made into few. Rows stay as they are; writers and readers are not disturbed.

The library lets two merges of the same files through, which doubles their rows (delta-rs, pull request 3982). It
refuses one during which the table's metadata changed: so each round of merges first leaves a mark of its own there, and
of two rounds at once the one that marked first merges nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from uuid import uuid4

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from streams.lake import delta
from streams.lake.lake import Lake
from streams.lake.table import DAY
from streams.topics import TAKEN_IN

MIB = 1_048_576
WHOLE = 128 * MIB  # of a day that is over: every byte is written once more
PART, SMALL = 16 * MIB, 4 * MIB  # of a day that is not, once many files are small
MANY = 500
MARK = "homeostat.merge"  # of the column of days: whose round of merges is the last


def compact(lake: Lake, today: date) -> int:
    """Merge the small files of each day before `today`, and of a later one once it has many; return how many files were
    replaced. `today`: the first day of the log's, in UTC, to which much may still come."""
    return sum(_compact(table, today) for topic in TAKEN_IN if (table := lake.table(topic)) is not None)


def _compact(table: DeltaTable, today: date) -> int:
    wanted, mine = list(merges(sizes(table), today)), uuid4().hex
    if not wanted:
        return 0
    try:
        table.alter.set_column_metadata(DAY, {MARK: mine})
    except CommitFailedError:  # another begins just now
        return 0
    replaced = 0
    for day, size in wanted:
        if _mark(table) != mine:
            break
        try:
            done = table.optimize.compact(
                partition_filters=[(DAY, "=", day.isoformat())],
                target_size=size,
                max_concurrent_tasks=1,
                writer_properties=delta.rewritten(table, day),
            )
        except CommitFailedError:  # another began since, or rows of that day were deleted
            continue
        replaced += done["numFilesRemoved"]
    return replaced


def _mark(table: DeltaTable) -> object:
    """Whose round is the last, as of the version from which the next merge begins."""
    return next(each.metadata.get(MARK) for each in table.schema().fields if each.name == DAY)


def merges(files: dict[date, list[int]], today: date) -> Iterator[tuple[date, int]]:
    """Yield the days whose files are to be merged, and how large they are to become, in bytes.

    >>> day = date(2026, 5, 1)
    >>> [size // MIB for _, size in merges({day: [MIB, MIB]}, date(2026, 5, 2))]
    [128]
    >>> [size // MIB for _, size in merges({day: [MIB] * MANY}, day)], list(merges({day: [MIB, MIB]}, day))
    ([16], [])
    """
    for day, each in sorted(files.items()):
        if day < today and sum(size < WHOLE // 2 for size in each) > 1:
            yield day, WHOLE
        elif day >= today and sum(size < SMALL for size in each) >= MANY:
            yield day, PART


def sizes(table: DeltaTable) -> dict[date, list[int]]:
    """Return the sizes of each day's files."""
    files = pa.table(table.get_add_actions(flatten=True))
    found: dict[date, list[int]] = {}
    if files.num_rows:
        for day, size in zip(files[f"partition.{DAY}"].to_pylist(), files["size_bytes"].to_pylist(), strict=True):
            found.setdefault(day, []).append(size)
    return found
