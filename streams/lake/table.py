"""The Parquet lake: every event once, by topic, partition and offset.

`<root>/<topic>/partition=<p>/<first offset of the block>.parquet` holds the events of one fixed block of offsets.
The file of a block that still grows is replaced whole, by rename, before its offsets are acknowledged. So how
batches were cut, and where a worker died, changes no file; and a reader never sees half of one.

A topic that is created again counts its offsets from 0 again: the files of its incarnation `n`
(`streams.log.topic_ids`) have a prefix with `n`, and come after those of the topic before it in the order of names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.describe.descriptors import ReplyText
from streams.events import Event, Message
from streams.topics import Topic

BATCH_ROWS = 2_000  # of a file in memory at once
FILTERED = ("alias", "time_ms")
JSON = frozenset({"input_messages", "tags"})  # columns that hold JSON text
QUESTION_ROLES = ("user", "text")

E = TypeVar("E", bound=Event)

_TYPES = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
}
_encode = msgspec.json.encode
_messages = msgspec.json.Decoder(list[Message])


def schema(kind: type[Event]) -> pa.Schema:
    """Return the columns of an event's rows: its fields, and its place in the log."""
    fields = [pa.field(field.name, _arrow(field)) for field in msgspec.structs.fields(kind)]
    return pa.schema([*fields, pa.field("partition", pa.int32()), pa.field("offset", pa.int64())])


def rows(kind: type[Event], partition: int, offsets: Sequence[int], events: Sequence[Event]) -> pa.Table:
    """Return events as rows; raise pyarrow's errors where a value does not fit its column."""
    fields = list(schema(kind))[:-2]
    values = zip(*map(msgspec.structs.astuple, events), strict=True) if events else [()] * len(fields)
    columns = [_column(some, field) for some, field in zip(values, fields, strict=True)]
    places = [pa.array([partition] * len(events), pa.int32()), pa.array(offsets, pa.int64())]
    return pa.Table.from_arrays([*columns, *places], schema=schema(kind))


def read(
    root: Path, topic: Topic, *, alias: str | None = None, since_ms: int | None = None, until_ms: int | None = None
) -> pa.Table:
    """Return the topic's events in the order of their time, each id once; `since_ms` is included, `until_ms` is not.
    All of them are in memory at once: `scan` and `chosen` are for lakes that grow.

    Columns are the event's fields (messages and tags as JSON text), `partition` and `offset`. No lake, no rows."""
    return in_order(topic, scan(root, topic, alias=alias, since_ms=since_ms, until_ms=until_ms))


def chosen(
    root: Path,
    topic: Topic,
    ids: Iterable[str],
    *,
    alias: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> pa.Table:
    """Return those of the topic's events that have one of these ids, in the order of `read`. No others stay in
    memory."""
    few = Among("id", pa.array(list(ids), pa.string()))
    return in_order(topic, scan(root, topic, alias=alias, since_ms=since_ms, until_ms=until_ms, among=few))


def count(root: Path, topic: Topic, alias: str) -> int:
    """Return how many events of an alias there are, each id once."""
    return len({id for table in scan(root, topic, alias=alias, columns=("id",)) for id in table["id"].to_pylist()})


@dataclass(frozen=True, slots=True)
class Among:
    """Rows whose column has one of these values."""

    column: str
    values: pa.Array


def scan(
    root: Path,
    topic: Topic,
    *,
    alias: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    columns: Sequence[str] | None = None,
    among: Among | None = None,
) -> Iterator[pa.Table]:
    """Yield the topic's rows, BATCH_ROWS of a file at a time, in no order of time; an id may come twice. `columns`:
    only these. Tables without rows are left out."""
    wanted, shape = _filter(alias, since_ms, until_ms), schema(topic.value)
    for path in sorted((root / topic.name).glob("partition=*/*.parquet")):
        yield from _batches(path, shape, wanted, shape.names if columns is None else columns, among)


def in_order(topic: Topic, tables: Iterable[pa.Table]) -> pa.Table:
    """Return whole rows of a topic in the order of their time, each id once."""
    table = pa.concat_tables([schema(topic.value).empty_table(), *tables])
    return _once(table.sort_by([("time_ms", "ascending"), ("partition", "ascending"), ("offset", "ascending")]))


def span(root: Path, topic: Topic, partition: int, first: int, end: int, incarnation: int = 0) -> Iterator[pa.Table]:
    """Yield the rows of one partition of one incarnation from offset `first` to before `end`, block by block."""
    folder, before = root / topic.name / f"partition={partition}", prefix(incarnation)
    paths = sorted(folder.glob(f"{before}[0-9]*.parquet"))
    starts = [int(path.stem.removeprefix(before)) for path in paths]
    following = starts[1:]
    inside = (pc.field("offset") >= first) & (pc.field("offset") < end)
    for i, path in enumerate(paths):
        if starts[i] < end and not (i < len(following) and following[i] <= first):
            yield load_file(path, schema(topic.value), inside)


def partitions(root: Path, topic: Topic) -> list[int]:
    """Return the partitions of which the lake has rows."""
    return sorted(int(path.name.partition("=")[2]) for path in (root / topic.name).glob("partition=*"))


def blocks(
    root: Path,
    topic: Topic,
    partition: int,
    *,
    alias: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    """Yield the rows of one partition in the order of their offsets, file by file; files without any are left out."""
    wanted = _filter(alias, since_ms, until_ms)
    for path in sorted((root / topic.name / f"partition={partition}").glob("*.parquet")):
        if (table := load_file(path, schema(topic.value), wanted, columns)).num_rows:
            yield table


def events(kind: type[E], table: pa.Table) -> list[E]:
    """Return the events of which the rows were made. Raises ValueError where rows are not of this kind."""
    found = table.to_pylist()
    for name in JSON.intersection(table.column_names):
        for row in found:
            row[name] = msgspec.json.decode(row[name])
    return msgspec.convert(found, list[kind])  # type: ignore[valid-type]


def replies(table: pa.Table) -> list[ReplyText]:
    """Return the part of served rows that the descriptors read."""
    columns = ("input_messages", "output", "input_tokens", "output_tokens", "logprob_mean", "logprob_min")
    values = [table.column(name).to_pylist() for name in columns]
    return [ReplyText(question(_messages.decode(row[0])), *row[1:]) for row in zip(*values, strict=True)]


def question(messages: Sequence[Message]) -> str:
    """Return the question: the last message of the user; all messages where there is none. Of several prompts the
    first, for it is the first one's answer that is kept.

    >>> question([Message("system", "Be kind."), Message("user", "Where is my card?")])
    'Where is my card?'
    >>> question([Message("text", "one and one is"), Message("text", "two and two is")])
    'one and one is'
    """
    if messages and messages[0].role == "text":
        return messages[0].content
    for message in reversed(messages):
        if message.role in QUESTION_ROLES:
            return message.content
    return "\n".join(message.content for message in messages)


def prefix(incarnation: int) -> str:
    """Return the beginning of the names of an incarnation's files; after a digit in the order of names."""
    return f"anew{incarnation:03d}-" if incarnation else ""


def load_file(
    path: Path, shape: pa.Schema, wanted: pc.Expression | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return one file as it was when it was opened; by its name, pyarrow would open it twice, and it may be replaced.
    Columns that it lacks, because it is older than they are, are null."""
    with pa.OSFile(str(path)) as file:
        table = pq.read_table(file, filters=wanted, columns=None if columns is None else list(columns))
    return table if columns is not None else _shaped(table, shape, shape.names)


def _batches(
    path: Path, shape: pa.Schema, wanted: pc.Expression | None, names: Sequence[str], among: Among | None
) -> Iterator[pa.Table]:
    """A file's rows, a part at a time; of one without any that are wanted only the columns that tell are read."""

    def some(table: pa.Table) -> pa.Table:
        if among is not None:
            table = table.filter(pc.is_in(table[among.column], value_set=among.values))
        return table if wanted is None else table.filter(wanted)

    telling = {*FILTERED, *((among.column,) if among else ())}
    with pa.OSFile(str(path)) as file:
        parquet = pq.ParquetFile(file)
        there = set(parquet.schema_arrow.names)
        first_look = parquet.iter_batches(BATCH_ROWS, columns=[*telling]) if among is not None else ()
        if among is not None and not any(some(pa.table(each)).num_rows for each in first_look):
            return
        for batch in parquet.iter_batches(BATCH_ROWS, columns=sorted(there & {*names, *telling})):
            if (table := some(pa.table(batch))).num_rows:
                yield _shaped(table, shape, names)


def _shaped(table: pa.Table, shape: pa.Schema, names: Sequence[str]) -> pa.Table:
    """These columns; those that the file lacks, because it is older than they are, are null."""
    for name in names:
        if name not in table.column_names:
            table = table.append_column(shape.field(name), pa.nulls(table.num_rows, shape.field(name).type))
    return table.select(list(names))


def _filter(alias: str | None, since_ms: int | None, until_ms: int | None) -> pc.Expression | None:
    wanted: pc.Expression | None = None
    for part in (
        pc.field("alias") == alias if alias is not None else None,
        pc.field("time_ms") >= since_ms if since_ms is not None else None,
        pc.field("time_ms") < until_ms if until_ms is not None else None,
    ):
        if part is not None:
            wanted = part if wanted is None else wanted & part
    return wanted


def _once(table: pa.Table) -> pa.Table:
    """Each id's first row."""
    ids = table.column("id")
    if pc.count_distinct(ids).as_py() == table.num_rows:
        return table
    places = pa.table({"id": ids, "place": pa.array(range(table.num_rows))})
    first = places.group_by("id").aggregate([("place", "min")])["place_min"]
    return table.take(first.combine_chunks().sort())


def _arrow(field: msgspec.structs.FieldInfo) -> pa.DataType:
    """The column type of a field; text for everything that is not a number or a flag."""
    if field.name in JSON:
        return pa.string()
    options = getattr(field.type, "__args__", (field.type,))
    return next((_TYPES[option] for option in options if option in _TYPES), pa.string())


def _column(values: Sequence[object], field: pa.Field) -> pa.Array:
    if field.name in JSON:
        values = [_encode(value).decode() for value in values]
    return pa.array(values, field.type)
