"""The lake's doors: all that anybody reads of replies and labels that are kept. Each holds a part in memory at a time.

What is read is the table as it was when the reading began. A lake, or a table of it, that is not there has no rows.
A part has some thousand rows, a few hundred where they are large. Where rows are to come in an order, fewer are read at
once until they fit: how large they are is known only then."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from streams.lake import delta
from streams.lake.table import DAY, in_order, ordered, schema, shaped
from streams.objects.opening import Storage
from streams.topics import Topic

IDS_AT_ONCE = 4_000  # each is a part of the query's text
OFFSETS_AT_ONCE = 4_000
MOST_BYTES = 16 * 1_048_576  # of rows that are put in order; a single one may be larger
THREADS = min(4, os.cpu_count() or 1)  # of the engine; each holds a row group and what it decodes of it
END = 2**63 - 1  # beyond every offset and time
ORDERED_BY = ("id", "time_ms", "partition", "offset")


@dataclass(frozen=True, slots=True)
class Lake:
    """Replies and labels in a folder, or at an address of an object store such as `s3://bucket/lake`. `options` are
    those of its client; credentials come from the environment."""

    url: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, storage: Storage) -> Lake:
        """Return the lake that stands there."""
        return cls(storage.address("lake"), storage.options)

    def table(self, topic: Topic) -> DeltaTable | None:
        """Return the topic's table as it is now; None where there is none. Raises LakeRefused where something else is
        there."""
        return delta.opened(self.url, self.options, topic)

    def rows(
        self,
        topic: Topic,
        *,
        alias: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the topic's rows in parts, in no order of time; an id may come twice. `since_ms` is included,
        `until_ms` is not. `columns`: only these."""
        yield from scanned(self.table(topic), topic, _wanted(alias, since_ms, until_ms), columns)

    def by_ids(
        self,
        topic: Topic,
        ids: Iterable[str],
        *,
        column: str = "id",
        alias: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.Table]:
        """Yield those of the topic's rows that have one of these values in `column`, each id once: in parts, each in
        the order of time."""
        wanted, table = sorted(set(ids)), self.table(topic)
        names = schema(topic.value).names if columns is None else columns
        read, conditions = [*dict.fromkeys([*names, *ORDERED_BY])], _wanted(alias, since_ms, until_ms)

        def among(first: int, end: int) -> Iterator[pa.Table]:
            return scanned(table, topic, [*conditions, _among(column, wanted[first:end])], read)

        for found in _fitting(among, range(0, len(wanted), IDS_AT_ONCE), IDS_AT_ONCE, len(wanted)):
            yield ordered(found).select(list(names))

    def read(
        self, topic: Topic, *, alias: str | None = None, since_ms: int | None = None, until_ms: int | None = None
    ) -> pa.Table:
        """Return the topic's rows in the order of their time, each id once. All of them are in memory at once: the
        other doors are for lakes that grow."""
        return in_order(topic, self.rows(topic, alias=alias, since_ms=since_ms, until_ms=until_ms))

    def count(self, topic: Topic, alias: str) -> int:
        """Return how many events of an alias there are, each id once."""
        return len({id for part in self.rows(topic, alias=alias, columns=("id",)) for id in part["id"].to_pylist()})

    def partitions(self, topic: Topic) -> list[int]:
        """Return the topic's partitions of which there are rows."""
        found = scanned(self.table(topic), topic, (), ["partition"])
        return sorted({partition for part in found for partition in pc.unique(part["partition"]).to_pylist()})

    def in_log_order(
        self,
        topic: Topic,
        partition: int,
        *,
        first: int = 0,
        end: int = END,
        topic_id: str | None = None,
        alias: str | None = None,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Iterator[pa.Table]:
        """Yield the rows of one partition from offset `first` to before `end` in the order of their offsets; those of a
        topic that was created again come after those of the topic before it. `topic_id`: only its rows."""
        conditions = [f"partition = {partition}", f'"offset" >= {first}', f'"offset" < {end}']
        conditions += _wanted(alias, since_ms, until_ms)
        conditions += [] if topic_id is None else [f"topic_id = {quoted(topic_id)}"]
        table = self.table(topic) if first < end else None
        for id, starts in _stretches(table, topic, conditions):

            def within(low: int, high: int, id: str = id) -> Iterator[pa.Table]:
                stretch = [f'"offset" >= {low}', f'"offset" < {high}', f"topic_id = {quoted(id)}"]
                return scanned(table, topic, [*conditions, *stretch], None)

            for found in _fitting(within, starts, OFFSETS_AT_ONCE):
                yield found.sort_by("offset")


def _stretches(table: DeltaTable | None, topic: Topic, conditions: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return where the rows are: ids of the topic, oldest first, and of each where stretches of its offsets start."""
    begun: dict[str, tuple[date, int]] = {}
    starts: dict[str, set[int]] = {}
    for part in scanned(table, topic, conditions, ["topic_id", "offset", "time_ms", DAY]):
        for id in pc.unique(part["topic_id"]).to_pylist():
            mine = part.filter(pc.equal(part["topic_id"], id))
            stretches = pc.unique(pc.divide(mine["offset"], OFFSETS_AT_ONCE)).to_pylist()
            starts.setdefault(id, set()).update(OFFSETS_AT_ONCE * each for each in stretches)
            first = pc.min(mine[DAY]).as_py(), pc.min(mine["time_ms"]).as_py()
            begun[id] = min(first, begun.get(id, first))
    return [(id, sorted(starts[id])) for id in sorted(begun, key=begun.__getitem__)]


def _fitting(
    read: Callable[[int, int], Iterator[pa.Table]], starts: Iterable[int], width: int, end: int = END
) -> Iterator[pa.Table]:
    """Yield what `read` gives from each start to before `width` more, or the end: in pieces that hold MOST_BYTES at
    most, or one place. A piece that proves too large is read again as two, and those that follow are as narrow."""
    narrow = width
    for start in starts:
        at, stop = start, min(start + width, end)
        while at < stop:
            upto = min(at + narrow, stop)
            found = _held(read(at, upto), MOST_BYTES if upto - at > 1 else None)
            if found is None:
                narrow = -(-(upto - at) // 2)
                continue
            at = upto
            if found:
                yield pa.concat_tables(found)


def _held(parts: Iterator[pa.Table], most: int | None) -> list[pa.Table] | None:
    """Return the parts; None where they have more bytes than that."""
    found, size = list[pa.Table](), 0
    for part in parts:
        found.append(part)
        size += part.nbytes
        if most is not None and size > most:
            return None
    return found


def scanned(
    table: DeltaTable | None, topic: Topic, conditions: Sequence[str], columns: Sequence[str] | None
) -> Iterator[pa.Table]:
    """Yield the table's rows for which these conditions in SQL hold, in parts; none where there is no table."""
    if table is None:
        return
    shape = schema(topic.value)
    names = shape.names if columns is None else columns
    there = {each.name for each in table.schema().fields}
    asked = ", ".join(f'"{name}"' for name in names if name in there)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    with delta.named(table.table_uri):
        engine = {"batch_size": str(delta.rows_at_once(table)), "target_partitions": str(THREADS)}
        query = QueryBuilder({f"datafusion.execution.{name}": value for name, value in engine.items()})
        found = query.register("rows", table).execute(f"SELECT {asked} FROM rows{where}")  # noqa: S608
        for batch in pa.RecordBatchReader.from_stream(found):  # pyarrow lets other threads run while it waits
            if batch.num_rows:
                yield shaped(pa.Table.from_batches([batch]), shape, names)


def _wanted(alias: str | None, since_ms: int | None, until_ms: int | None) -> list[str]:
    """Return conditions in SQL."""
    asked: list[tuple[str, Any]] = [
        ("alias = {}", None if alias is None else quoted(alias)),
        ("time_ms >= {}", since_ms),
        ("time_ms < {}", until_ms),
    ]
    return [condition.format(value) for condition, value in asked if value is not None]


def _among(column: str, values: Sequence[str]) -> str:
    """Return the condition for a column with one of these values. Files whose first and last value tell that they have
    none are left out: ids begin with the time of their making."""
    return f"{column} IN ({', '.join(map(quoted, values))})"


def quoted(text: str) -> str:
    """Return a text as SQL has it.

    >>> print(quoted("it's"))
    'it''s'
    """
    return "'" + text.replace("'", "''") + "'"
