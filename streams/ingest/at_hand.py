"""Rows that a worker took in, wherever they are: not written yet, or in the lake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from streams.events import FeedbackGiven, InferenceServed
from streams.lake.lake import Lake
from streams.lake.table import events
from streams.lake.writer import LakeWriter
from streams.topics import Topic

log = structlog.get_logger()

E = TypeVar("E", FeedbackGiven, InferenceServed)


def rows_by_ids(lake: Lake, writer: LakeWriter, topic: Topic, ids: Iterable[str]) -> Iterator[pa.Table]:
    """Yield the rows with these ids, each once: first those that wait for the lake, or one that is written meanwhile
    could be in neither."""
    left = set(ids)
    for rows in writer.held():
        mine = rows.filter(pc.is_in(rows["id"], pa.array(left, pa.string())))
        if mine.num_rows:
            left.difference_update(mine["id"].to_pylist())
            yield mine
    if left:
        yield from lake.by_ids(topic, left)


def decoded(kind: type[E], rows: pa.Table) -> list[E]:
    """Return the events of these rows; one that is none is left out, and no reason to lose the others."""
    try:
        return events(kind, rows)
    except ValueError as error:
        if rows.num_rows == 1:
            log.error("a row of the lake is no event", kind=kind.__name__, error=str(error))
            return []
        return [each for i in range(rows.num_rows) for each in decoded(kind, rows.slice(i, 1))]
