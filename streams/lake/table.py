"""Events as the lake's rows, and back.

A row has the event's fields, and its place in the log: `partition`, `offset`, the topic's id, and the day on which the
log took it, by which the lake's folders are cut. A topic that is created again counts its offsets from 0 again, under
another id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from monitor.describe.descriptors import ReplyText
from monitor.selection.sources import JUDGE
from streams.events import Event
from streams.messages import Message
from streams.topics import Topic

DAY = "log_day"
PLACE = (
    pa.field("partition", pa.int32()),
    pa.field("offset", pa.int64()),
    pa.field("topic_id", pa.string()),
    pa.field(DAY, pa.date32()),
)
JSON = frozenset({"input_messages", "tags", "request", "choices", "cut", "cohorts"})  # columns that hold JSON text
JUDGED = ("loss", "correct")  # columns of feedback: `correct` of version 1, from before losses
JUDGED_BY = (*JUDGED, "source")  # columns that tell whether a row of feedback judges
QUESTION_ROLES = ("user", "text")

E = TypeVar("E", bound=Event)

_TYPES = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
}
_encode = msgspec.json.encode
_messages = msgspec.json.Decoder(list[Message])


@cache
def schema(kind: type[Event]) -> pa.Schema:
    """Return the columns of an event's rows: its fields, and its place in the log."""
    return pa.schema([*(pa.field(field.name, _arrow(field)) for field in msgspec.structs.fields(kind)), *PLACE])


def rows(
    kind: type[Event],
    partition: int,
    offsets: Sequence[int],
    events: Sequence[Event],
    topic_id: str = "",
    logged_ms: Sequence[int] | None = None,
) -> pa.Table:
    """Return events as rows; raise pyarrow's errors where a value does not fit its column. `logged_ms`: when the log
    took them; without it, their own times."""
    fields, count = list(schema(kind))[: -len(PLACE)], len(events)
    values = zip(*map(msgspec.structs.astuple, events), strict=True) if events else [()] * len(fields)
    columns = [_column(some, field) for some, field in zip(values, fields, strict=True)]
    times = [event.time_ms for event in events] if logged_ms is None else logged_ms  # type: ignore[attr-defined]
    days = [datetime.fromtimestamp(time_ms / 1_000, UTC).date() for time_ms in times]
    place = [[partition] * count, offsets, [topic_id] * count, days]
    columns += [pa.array(some, field.type) for some, field in zip(place, PLACE, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema(kind))


def in_order(topic: Topic, tables: Iterable[pa.Table]) -> pa.Table:
    """Return whole rows of a topic in the order of their time, each id once."""
    table = pa.concat_tables([schema(topic.value).empty_table(), *tables])
    return ordered(table)


def ordered(table: pa.Table) -> pa.Table:
    """Return rows in the order of their time, each id once."""
    return _once(table.sort_by([("time_ms", "ascending"), ("partition", "ascending"), ("offset", "ascending")]))


def events(kind: type[E], table: pa.Table) -> list[E]:
    """Return the events of which the rows were made; what older rows lack has its default. Raises ValueError where rows
    are not of this kind."""
    needed = {field.name for field in msgspec.structs.fields(kind) if field.required}
    found = [
        {name: each for name, each in row.items() if each is not None or name in needed} for row in table.to_pylist()
    ]
    for name in JSON.intersection(table.column_names):
        for row in found:
            if name in row:
                row[name] = msgspec.json.decode(row[name])
    return msgspec.convert(found, list[kind])  # type: ignore[valid-type]


def judged(table: pa.Table) -> pa.ChunkedArray:
    """Return for each row of feedback, of which `JUDGED_BY` was read, whether it has a loss. A judge model's score is
    no label."""
    return pc.and_not(pc.or_(*(pc.is_valid(table[name]) for name in JUDGED)), scored(table))


def scored(table: pa.Table) -> pa.ChunkedArray:
    """Return for each row of feedback whether it is a judge model's."""
    return pc.fill_null(pc.equal(table["source"], JUDGE), False)


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


def shaped(table: pa.Table, shape: pa.Schema, names: Sequence[str]) -> pa.Table:
    """Return these columns; those that the table lacks, because it is older than they are, are null."""
    for name in names:
        if name not in table.column_names:
            table = table.append_column(shape.field(name), pa.nulls(table.num_rows, shape.field(name).type))
    return table.select(list(names)).cast(pa.schema([shape.field(name) for name in names]))


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
