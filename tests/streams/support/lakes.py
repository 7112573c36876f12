"""Lakes for tests: on a folder, or at an address; and what is in their tables, counted without the lake's doors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from streams.events import Event
from streams.lake.lake import Lake
from streams.lake.table import rows
from streams.lake.writer import LakeWriter, PartitionRows
from streams.topics import FEEDBACK, INFERENCE, Topic

Rows = dict[str, tuple[object, ...]]

FOLDERS = {INFERENCE: "replies", FEEDBACK: "feedback"}


def at(root: Path) -> Lake:
    return Lake(str(root))


def stretch(
    topic: Topic, partition: int, offsets: Sequence[int], events: Sequence[Event], topic_id: str = ""
) -> PartitionRows:
    table = rows(topic.value, partition, list(offsets), list(events), topic_id)
    return PartitionRows(topic_id, partition, max(offsets, default=-1) + 1, table)


def put(
    lake: Lake | Path,
    topic: Topic,
    events: Sequence[Event],
    partition: int = 0,
    first: int = 0,
    topic_id: str = "",
    together: int = 100_000,
) -> Lake:
    """Writes events at consecutive offsets, so many in a commit."""
    lake = lake if isinstance(lake, Lake) else at(lake)
    writer = LakeWriter(lake, topic)
    for begin in range(0, len(events), together):
        some = events[begin : begin + together]
        writer.add(stretch(topic, partition, range(first + begin, first + begin + len(some)), some, topic_id))
        writer.commit()
    return lake


def table(lake: Lake, topic: Topic) -> pa.Table | None:
    """All rows, as another reader has them; None where there is no table."""
    try:
        found = DeltaTable(f"{lake.url}/{FOLDERS[topic]}", storage_options=dict(lake.options))
    except TableNotFoundError:
        return None
    return pa.RecordBatchReader.from_stream(found.scan()).read_all()


def stored(lake: Lake) -> Rows:
    """Each row's values by topic, partition and offset, but for the topic's id; AssertionError for a row that is there
    twice. Two lakes are equal where these are."""
    found: Rows = {}
    for topic in FOLDERS:
        some = table(lake, topic)
        for row in some.to_pylist() if some is not None else ():
            id, names = row.pop("topic_id"), sorted(row)
            place = f"{topic.name}/{id and 'one'}/{row['partition']}/{row['offset']}/{row['id']}"
            assert place not in found, f"twice: {place}"
            found[place] = tuple(row[name] for name in names)
    return found


def ids(lake: Lake, topic: Topic) -> Counter[str]:
    """How often the table has each id."""
    some = table(lake, topic)
    return Counter(some["id"].to_pylist() if some is not None else [])
