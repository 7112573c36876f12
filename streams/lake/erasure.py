"""Rows of one person taken out of the lake, a day at a time, while its writers go on.

Delta refuses a DELETE where a commit came meanwhile that may have added rows of its kind, and a writer that commits
twenty times a second leaves no gap. A condition on a column with statistics tells such rows apart: each DELETE is
bounded by the times of the rows that go, and what is written now is younger. What still conflicts is tried again; a
writer whose append conflicts tries again by itself. Deleted rows stay in files that no version names until
`retention.vacuum`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, WriterProperties
from deltalake.exceptions import CommitFailedError

from streams.lake import delta
from streams.lake.lake import Lake, quoted, scanned
from streams.lake.person import ErasedPerson
from streams.lake.table import DAY
from streams.topics import FEEDBACK, INFERENCE, Topic

IDS_AT_ONCE = 10_000  # of a DELETE
TRIES = 20  # of a day's DELETE
REST_S = 0.2  # after a DELETE, for writers: it makes the append that is under way start over
PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0  # before the second try, and before a late one; each is drawn from 0 on

Days = dict[date, "FoundRows"]


@dataclass(slots=True)
class FoundRows:
    """A day's rows of a person. `ids`: of each row, with the reply that it is about."""

    ids: dict[str, str] = field(default_factory=dict)
    first_ms: int = 2**63 - 1  # event time
    last_ms: int = -1


@dataclass(frozen=True, slots=True)
class Persistence:
    """How a DELETE that conflicts is tried again. `missed` is called with each conflict."""

    tries: int = TRIES
    rng: random.Random = field(default_factory=random.Random)
    sleep: Callable[[float], None] = time.sleep
    missed: Callable[[Topic, date], None] = lambda topic, day: None


def replies(lake: Lake, person: ErasedPerson, until_ms: int) -> Days:
    """Return the person's replies that ended before that time, by the log's day. Their ids are in memory."""
    whole, found = lake.table(INFERENCE), Days()
    columns = [] if whole is None else [each.name for each in whole.schema().fields]
    conditions = [person.condition(columns), f"time_ms < {until_ms}"]
    for table in scanned(whole, INFERENCE, conditions, ["id", "time_ms", DAY]):
        _gather(found, table, table["id"])
    return found


def labels(lake: Lake, person: ErasedPerson, replies: Collection[str], until_ms: int) -> Days:
    """Return the feedback on these replies, whenever it was given, and what the person gave before that time on other
    people's replies, by the log's day."""
    wanted, found = pa.array(sorted(replies), pa.string()), Days()
    for table in scanned(lake.table(FEEDBACK), FEEDBACK, (), ["id", "event_id", "by", "time_ms", DAY]):
        mine = pc.is_in(table["event_id"], value_set=wanted)
        if givers := [by for by in pc.unique(table["by"]).to_pylist() if by is not None and person.gave(by)]:
            given = pc.is_in(table["by"], value_set=pa.array(givers, pa.string()))
            mine = pc.or_(mine, pc.and_(given, pc.less(table["time_ms"], until_ms)))
        kept = table.filter(mine)
        _gather(found, kept, kept["event_id"])
    return found


def delete(lake: Lake, topic: Topic, days: Mapping[date, FoundRows], how: Persistence) -> Iterator[tuple[date, bool]]:
    """Delete these rows, the oldest day first, and yield each day with whether its rows are gone: where a busy writer
    left no gap, they are not. Deleting again changes nothing. Raise LakeRefused, OSError or DeltaError where the store
    refuses or is away."""
    if (table := lake.table(topic) if days else None) is not None:
        for day, rows in sorted(days.items()):
            missed = partial(how.missed, topic, day)
            properties = delta.rewritten(table, day)
            yield day, all(_delete(table, condition, properties, how, missed) for condition in _conditions(day, rows))


def _gather(found: Days, table: pa.Table, about: pa.ChunkedArray) -> None:
    columns = (table["id"].to_pylist(), about.to_pylist(), table["time_ms"].to_pylist(), table[DAY].to_pylist())
    for id, reply, time_ms, day in zip(*columns, strict=True):
        rows = found.setdefault(day, FoundRows())
        rows.ids[id] = reply
        rows.first_ms, rows.last_ms = min(rows.first_ms, time_ms), max(rows.last_ms, time_ms)


def _conditions(day: date, rows: FoundRows) -> Iterator[str]:
    """Yield conditions that together name the rows, by their ids: those say nothing to a reader of the table's log."""
    ids = sorted(rows.ids)
    within = f"{DAY} = '{day.isoformat()}' AND time_ms >= {rows.first_ms} AND time_ms <= {rows.last_ms}"
    for at in range(0, len(ids), IDS_AT_ONCE):
        some = [quoted(id) for id in ids[at : at + IDS_AT_ONCE]]
        yield f"{within} AND id >= {some[0]} AND id <= {some[-1]} AND id IN ({', '.join(some)})"


def _delete(
    table: DeltaTable, condition: str, properties: WriterProperties, how: Persistence, missed: Callable[[], None]
) -> bool:
    for tried in range(how.tries):
        with delta.named(table.table_uri):
            if tried:
                how.sleep(how.rng.uniform(0, min(LONGEST_PAUSE_S, PAUSE_S * 2**tried)))
                table.update_incremental()
            try:
                table.delete(condition, writer_properties=properties)
            except CommitFailedError:
                missed()
                continue
        how.sleep(REST_S)
        return True
    return False
