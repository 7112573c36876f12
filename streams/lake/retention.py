"""Days of the lake that are over for good: deleted, and their bytes given back.

Whole days go, by the log's day: that rewrites no file and stands in no writer's way. A file that no row is read from
any more is deleted once it is old enough that no reader can be at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from streams.lake import delta
from streams.lake.compaction import sizes
from streams.lake.lake import Lake
from streams.lake.table import DAY
from streams.topics import TAKEN_IN

T = TypeVar("T")
TRIES = 10  # beside writers and a compaction


@dataclass(frozen=True, slots=True)
class LakeTable:
    """How much a table holds, as it is now."""

    name: str
    files: int
    bytes: int
    days: tuple[date, date] | None  # the first and the last; None where it is empty


def expire(lake: Lake, before: date) -> int:
    """Delete the rows of all days of the log before this one, in UTC; return how many. Readers under way go on."""

    def act(table: DeltaTable) -> int:
        return _expire(table, before) if any(day < before for day in sizes(table)) else 0

    return sum(count for _, count in _each(lake, act))


def vacuum(lake: Lake, hours: int) -> int:
    """Delete for good the files that have been in no table for so many hours, those of a killed writer too. Return how
    many it looked at: some may be gone since the last time."""

    def act(table: DeltaTable) -> int:
        return len(table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True))

    return sum(count for _, count in _each(lake, act))


def tables(lake: Lake) -> list[LakeTable]:
    """Return what is there; no row is read."""
    found = []
    for name, days in _each(lake, sizes):
        each = [size for some in days.values() for size in some]
        found.append(LakeTable(name, len(each), sum(each), (min(days), max(days)) if days else None))
    return found


def _expire(table: DeltaTable, before: date) -> int:
    for tries_left in reversed(range(TRIES)):
        try:
            done = table.delete(f"{DAY} < '{before.isoformat()}'")
            return int(done["num_deleted_rows"])
        except CommitFailedError:
            if not tries_left:
                raise
            table.update_incremental()
    raise AssertionError("the last try returns or raises")


def _each(lake: Lake, act: Callable[[DeltaTable], T]) -> Iterator[tuple[str, T]]:
    """Does it to each table, and yields the table's name with what came of it. What the store refuses is named."""
    for topic in TAKEN_IN:
        if (table := lake.table(topic)) is not None:
            with delta.named(lake.url):
                found = act(table)
            yield delta.FOLDERS[topic.name], found
