"""Labels that came without a judgement, and the judgements that followed: in rows at hand, and in the lake."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from streams.lake.lake import Lake, scanned
from streams.lake.table import DAY, JUDGED, judged
from streams.topics import FEEDBACK

COLUMNS = ("id", "event_id", "partition", "offset", "time_ms", DAY)
KNOWN = "id NOT IN (SELECT judges FROM rows WHERE judges <> '' AND {})"
WAITS = "(label IS NOT NULL OR correction IS NOT NULL)"


class UnjudgedLabel(NamedTuple):
    """A label that waits for its judgement, or a reply that waits for a judge model's score, by ids and place (of a
    reply `event_id` is its own id). `since_ms`: since when it waits, as far as its row tells:
    when it was given, or the beginning of the day on which the log took it, whichever is later."""

    id: str
    event_id: str
    partition: int
    offset: int
    since_ms: int


def unjudged(rows: pa.Table) -> list[UnjudgedLabel]:
    """Return those of these rows of feedback that say what was right, and not whether the reply was."""
    texts = pc.or_(pc.is_valid(rows["label"]), pc.is_valid(rows["correction"]))
    waits = pc.and_not(texts, judged(rows))
    return waiting_rows(rows.filter(waits)) if pc.any(waits).as_py() else []


def judgements(rows: pa.Table) -> list[str]:
    """Return the ids of the labels that these rows of feedback judge."""
    return [id for id in pc.unique(rows["judges"]).to_pylist() if id]


def unjudged_before(lake: Lake, partitions: Collection[int], since: date) -> Iterator[list[UnjudgedLabel]]:
    """Yield the labels of these partitions that no row of the lake judges, in parts. `since`: the first of the log's
    days that is looked at."""
    table = lake.table(FEEDBACK)
    recent = f"{DAY} >= '{since.isoformat()}'"
    columns = set() if table is None else {each.name for each in table.schema().fields}
    unknown = [f"{name} IS NULL" for name in JUDGED if name in columns]
    conditions = [WAITS, *unknown, recent, f"partition IN ({', '.join(map(str, sorted(partitions)))})"]
    if "judges" in columns:
        conditions.append(KNOWN.format(recent))
    for part in scanned(table, FEEDBACK, conditions, COLUMNS):
        yield waiting_rows(part)


def waiting_rows(rows: pa.Table) -> list[UnjudgedLabel]:
    """Return these rows as what waits."""
    values = zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True)
    return [
        UnjudgedLabel(id, event_id, partition, offset, max(given_ms, _began_ms(day)))
        for id, event_id, partition, offset, given_ms, day in values
    ]


def _began_ms(day: date) -> int:
    return round(datetime.combine(day, time(), UTC).timestamp() * 1_000)
