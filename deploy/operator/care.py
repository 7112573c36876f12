"""The care of what is stored: small files merged, days that are over deleted, bytes given back. All of it may stop at
any moment and be done again. Workers write meanwhile, and another may care at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import structlog

from deploy.config.settings import Config
from deploy.operator.erasure.forgetting import erasure_places, resume
from streams.clock import now_ms
from streams.lake import metrics
from streams.lake.compaction import compact
from streams.lake.lake import Lake
from streams.lake.profile_windows import NEXT, PROFILES
from streams.lake.retention import expire, tables, vacuum
from streams.objects.store import ObjectStore
from streams.reports.keys import REPORTS

log = structlog.get_logger()

LATE_S = 3_600  # after its end, a day's files are left alone for so long: a worker may lag
OFTEN_S = 3_600.0  # between two rounds of each person's erasure: rows may have come from the log since
SELDOM_S = 6 * 3_600.0  # between two looks at all files that there are


@dataclass(frozen=True, slots=True)
class CarePart:
    """One part of the care: what it does, how often, and what the number that it returns counts."""

    name: str
    act: Callable[[], int]
    counts: str
    every_s: float = 0.0  # 0: each time


def parts(config: Config) -> list[CarePart]:
    """Return the parts in their order: what is deleted need not be merged."""
    where, kept = config.kept, timedelta(days=config.storage.keep_days)
    mine, old_files_h = Lake.of(where), config.storage.old_files_h
    deleted = (
        CarePart("keep_days", lambda: expire(mine, today() - kept), "rows deleted"),
        CarePart("pages", lambda: drop(where.objects(), today() - kept), "pages and profiles deleted", SELDOM_S),
    )
    return [
        *(deleted if kept else ()),
        CarePart("merge", lambda: compact(mine, today()), "files replaced"),
        CarePart("forget", lambda: len(list(resume(erasure_places(config)))), "open orders repeated", OFTEN_S),
        CarePart("vacuum", lambda: vacuum(mine, old_files_h), "files out of use deleted", SELDOM_S),
        CarePart("measure", lambda: measure(mine), "files"),
    ]


def drop(store: ObjectStore, before: date) -> int:
    """Delete the pages of alarms and the profiles that were written before that day, in UTC; return how many."""
    began_s = datetime(before.year, before.month, before.day, tzinfo=UTC).timestamp()
    found = [key for prefix in (REPORTS, PROFILES) for key in store.older(prefix, began_s)]
    gone = [key for key in found if not key.startswith(f"{NEXT}/")]
    for key in gone:
        store.delete(key)
    return len(gone)


def today() -> date:
    """Return the first day of the log's, in UTC, to which much may still come."""
    return datetime.fromtimestamp(now_ms() / 1_000 - LATE_S, UTC).date()


def measure(of: Lake) -> int:
    """Show in the metrics how large the lake's tables are; return their files."""
    found = tables(of)
    for each in found:
        metrics.FILES.labels(each.name).set(each.files)
        metrics.BYTES.labels(each.name).set(each.bytes)
    return sum(each.files for each in found)


@dataclass(slots=True)
class Care:
    """Does all parts now and then. A part that fails keeps no other from its turn, and is tried again the next time."""

    parts: list[CarePart]
    done_s: dict[str, float] = field(default_factory=dict)  # when it last went well, on the monotonic clock

    def __post_init__(self) -> None:
        for each in self.parts:
            metrics.CARED.labels(each.name).set(time.time())

    def turn(self, now_s: float) -> Iterator[tuple[CarePart, int | Exception]]:
        """Do the parts that are due, and yield what came of each."""
        for each in self.parts:
            if now_s - self.done_s.get(each.name, -each.every_s) < each.every_s:
                continue
            try:
                count = each.act()
            except Exception as error:
                log.exception("storage is not cared for, will be tried again", part=each.name)
                yield each, error
                continue
            self.done_s[each.name] = now_s
            metrics.CARED.labels(each.name).set(time.time())
            log.info("storage cared for", part=each.name, **{each.counts.replace(" ", "_"): count})
            yield each, count
