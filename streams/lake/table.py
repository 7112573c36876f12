"""The Parquet lake: every event once, by topic, partition and offset.

`<root>/<topic>/partition=<p>/<first offset of the block>.parquet` holds the events of one fixed block of offsets.
The file of a block that still grows is replaced whole, by rename, before its offsets are acknowledged. So how
batches were cut, and where a worker died, changes no file; and a reader never sees half of one.

A topic made anew counts its offsets from 0 again: the files of its incarnation `n` (`streams.log.topic_ids`) are
`anew<n>-<first offset of the block>.parquet`, and come after those of the topic before it in the order of names.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.describe.descriptors import ReplyText
from streams.events import Event, Message
from streams.journal.fsync import force_folder
from streams.private_files import private_folder, private_opener
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
Signature = tuple[int, int]  # inode and time of the last change: a file replaced is another
_encode = msgspec.json.encode
_messages = msgspec.json.Decoder(list[Message])


def schema(kind: type[Event]) -> pa.Schema:
    """The columns of an event's rows: its fields, and where in the log it stands."""
    fields = [pa.field(field.name, _arrow(field)) for field in msgspec.structs.fields(kind)]
    return pa.schema([*fields, pa.field("partition", pa.int32()), pa.field("offset", pa.int64())])


def rows(kind: type[Event], partition: int, offsets: Sequence[int], events: Sequence[Event]) -> pa.Table:
    """Events as rows; raises pyarrow's errors where a value does not fit its column."""
    fields = list(schema(kind))[:-2]
    values = zip(*map(msgspec.structs.astuple, events), strict=True) if events else [()] * len(fields)
    columns = [_column(some, field) for some, field in zip(values, fields, strict=True)]
    places = [pa.array([partition] * len(events), pa.int32()), pa.array(offsets, pa.int64())]
    return pa.Table.from_arrays([*columns, *places], schema=schema(kind))


def read(
    root: Path, topic: Topic, *, alias: str | None = None, since_ms: int | None = None, until_ms: int | None = None
) -> pa.Table:
    """The topic's events in the order of their time, each id once; `since_ms` is included, `until_ms` is not. All of
    them are in memory at once: `scan` and `chosen` are for lakes that grow.

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
    """Those of the topic's events that have one of these ids, as `read` gives them. Nothing else is kept in memory."""
    few = Among("id", pa.array(list(ids), pa.string()))
    return in_order(topic, scan(root, topic, alias=alias, since_ms=since_ms, until_ms=until_ms, among=few))


def count(root: Path, topic: Topic, alias: str) -> int:
    """How many events of an alias there are, each id once."""
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
    """The topic's rows, BATCH_ROWS of a file at a time, in no order of time; an id may come twice. `columns`: only
    these. Tables without rows are left out."""
    wanted, shape = _filter(alias, since_ms, until_ms), schema(topic.value)
    for path in sorted((root / topic.name).glob("partition=*/*.parquet")):
        yield from _batches(path, shape, wanted, shape.names if columns is None else columns, among)


def in_order(topic: Topic, tables: Iterable[pa.Table]) -> pa.Table:
    """Whole rows of a topic in the order of their time, each id once."""
    table = pa.concat_tables([schema(topic.value).empty_table(), *tables])
    return _once(table.sort_by([("time_ms", "ascending"), ("partition", "ascending"), ("offset", "ascending")]))


def span(root: Path, topic: Topic, partition: int, first: int, end: int, incarnation: int = 0) -> Iterator[pa.Table]:
    """The rows of one partition of one incarnation from offset `first` to before `end`, block by block."""
    folder, before = root / topic.name / f"partition={partition}", _prefix(incarnation)
    paths = sorted(folder.glob(f"{before}[0-9]*.parquet"))
    starts = [int(path.stem.removeprefix(before)) for path in paths]
    following = starts[1:]
    inside = (pc.field("offset") >= first) & (pc.field("offset") < end)
    for i, path in enumerate(paths):
        if starts[i] < end and not (i < len(following) and following[i] <= first):
            yield _load(path, schema(topic.value), inside)


def partitions(root: Path, topic: Topic) -> list[int]:
    """The partitions of which the lake has something."""
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
    """The rows of one partition in the order of their offsets, file by file; files without any are left out."""
    wanted = _filter(alias, since_ms, until_ms)
    for path in sorted((root / topic.name / f"partition={partition}").glob("*.parquet")):
        if (table := _load(path, schema(topic.value), wanted, columns)).num_rows:
            yield table


def events(kind: type[E], table: pa.Table) -> list[E]:
    """The events of which the rows were made. Raises ValueError where rows are not of this kind."""
    found = table.to_pylist()
    for name in JSON.intersection(table.column_names):
        for row in found:
            row[name] = msgspec.json.decode(row[name])
    return msgspec.convert(found, list[kind])  # type: ignore[valid-type]


def replies(table: pa.Table) -> list[ReplyText]:
    """What the descriptors read of served rows."""
    columns = ("input_messages", "output", "input_tokens", "output_tokens", "logprob_mean", "logprob_min")
    values = [table.column(name).to_pylist() for name in columns]
    return [ReplyText(question(_messages.decode(row[0])), *row[1:]) for row in zip(*values, strict=True)]


def question(messages: Sequence[Message]) -> str:
    """What was asked: the last message of the user; all messages where there is none. Of several prompts the first, for
    it is the first one's answer that is kept.

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


class Writer:
    """Writes one partition of one topic. Whoever else wrote to the open block in the meantime (a worker that has
    just lost this partition, or one that froze and lives again) is noticed, and its rows are kept."""

    def __init__(self, root: Path, topic: Topic, partition: int, block_offsets: int, incarnation: int = 0) -> None:
        self._folder, self._prefix = root / topic.name / f"partition={partition}", _prefix(incarnation)
        self._empty = schema(topic.value).empty_table()
        self._size = block_offsets
        self._path: Path | None = None
        self._table = self._empty
        self._written: Signature | None = None

    def add(self, table: pa.Table) -> None:
        """Returns once the rows are on disk. Adding rows again changes nothing."""
        offsets = table.column("offset").to_numpy()
        for block in sorted(set((offsets // self._size).tolist())):
            self._open(self._folder / f"{self._prefix}{block * self._size:020d}.parquet")
            self._write(table.filter(pa.array(offsets // self._size == block)))

    def _open(self, path: Path) -> None:
        found = _signature(path)
        if path == self._path and found == self._written:
            return
        mine = self._table if path == self._path else self._empty
        theirs = _load(path, self._empty.schema) if found else self._empty
        self._path, self._written, self._table = path, found, _union(theirs, mine)

    def _write(self, table: pa.Table) -> None:
        assert self._path is not None
        self._table = _union(self._table, table)
        while (written := _replace(self._path, self._table, self._written)) is None:
            self._open(self._path)
        self._written = written


def _prefix(incarnation: int) -> str:
    """What the names of an incarnation's files begin with; after a digit in the order of names."""
    return f"anew{incarnation:03d}-" if incarnation else ""


def _union(known: pa.Table, new: pa.Table) -> pa.Table:
    """Rows of both by offset; the new row where both have one."""
    if not known.num_rows or not new.num_rows or pc.max(known["offset"]).as_py() < pc.min(new["offset"]).as_py():
        return pa.concat_tables([known, new])
    kept = known.filter(pc.invert(pc.is_in(known["offset"], value_set=new["offset"].combine_chunks())))
    return pa.concat_tables([kept, new]).sort_by("offset")


def _replace(path: Path, table: pa.Table, known: Signature | None) -> Signature | None:
    """All of it or nothing, also after a power cut; the new file's signature. None, and nothing done, where the file
    is no longer the `known` one."""
    private_folder(path.parent)
    part = path.with_name(f".{path.name}.{uuid4().hex}")  # two machines may have a process of the same number
    with open(part, "wb", opener=private_opener) as file:
        pq.write_table(table.combine_chunks(), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    written = _signature(part)
    with _alone(path.parent):
        if _signature(path) != known:
            part.unlink()
            return None
        part.replace(path)
    force_folder(path.parent)
    return written


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Between the look at a file and its replacement nobody else may replace it: a worker that freezes there, and
    wakes when another has its partition, would undo the other's rows."""
    with open(folder / ".lock", "w", opener=private_opener) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _signature(path: Path) -> Signature | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _load(
    path: Path, shape: pa.Schema, wanted: pc.Expression | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """One file as it was when it was opened; by its name, pyarrow would open it twice, and it may be replaced. Columns
    that it lacks, because it is older than they are, are null."""
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
