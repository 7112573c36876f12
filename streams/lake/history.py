"""The history, read from the lake in order, for backtests.

The lake has no log times. The time at which the log took an event is estimated: not before the events that stand before
it in its partition, else the middle of its own time and its neighbours'. So a late event stays where it came, and one
clock that is far ahead does not hold up all that follows. Partitions are merged by these times, replies and labels too,
and within a partition the order of offsets holds. A live worker takes whole batches, of one partition after another: it
may have seen what lies within one batch (half a second, where it keeps up) in another order than it comes here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streams.events import FeedbackGiven, InferenceServed
from streams.lake.lake import Lake
from streams.lake.table import JUDGED_BY, events, judged
from streams.topics import FEEDBACK, INFERENCE, Topic

Times = NDArray[np.int64]
Part = tuple[Times, pa.Table]  # times at which the log took the rows, never falling; the rows
TOPICS = (INFERENCE, FEEDBACK)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the history, in order; nothing that comes later was taken earlier. `*_ms`: when the log took them."""

    replies: Sequence[InferenceServed]
    replies_ms: Sequence[int]
    labels: Sequence[FeedbackGiven]
    labels_ms: Sequence[int]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is of an alias. `labels`: of the feedback, what has a loss. Times are events' own."""

    replies: int
    feedback: int
    labels: int
    first_ms: int
    last_ms: int

    @property
    def events(self) -> int:
        """Return how many events there are."""
        return self.replies + self.feedback


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the history: of one alias, where it is named; `since_ms` is included, `until_ms` is not."""

    alias: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


def survey(lake: Lake, stretch: Stretch) -> dict[str, Extent]:
    """Return the extent of each alias in the lake. No lake, no alias."""
    found: dict[str, Extent] = {}
    for topic in TOPICS:
        columns = ("alias", "time_ms", *(JUDGED_BY if topic == FEEDBACK else ()))
        for part in lake.rows(topic, **asdict(stretch), columns=columns):
            for alias, extent in _extents(topic, part):
                found[alias] = _joined(found[alias], extent) if alias in found else extent
    return found


def read(lake: Lake, stretch: Stretch) -> Iterator[Slice]:
    """Yield the history, slice by slice; at any time, at most some thousand rows of each partition are in memory."""
    streams = {
        (topic.name, partition): _timed(lake.in_log_order(topic, partition, **asdict(stretch)))
        for topic in TOPICS
        for partition in lake.partitions(topic)
    }
    heads = {name: head for name, stream in streams.items() if (head := next(stream, None))}
    while heads:
        horizon = min(int(times[-1]) for times, _ in heads.values())
        taken: dict[str, list[Part]] = {topic.name: [] for topic in TOPICS}
        for name, (times, table) in list(heads.items()):
            cut = int(np.searchsorted(times, horizon, side="right"))
            taken[name[0]].append((times[:cut], table.slice(0, cut)))
            rest = (times[cut:], table.slice(cut)) if cut < len(times) else next(streams[name], None)
            heads.pop(name) if rest is None else heads.update({name: rest})
        yield _slice(taken)


def taken_ms(times: Times, before: int, after: int) -> Times:
    """Return for each time the middle one of it and its neighbours.

    >>> taken_ms(np.array([10, 99, 12, 3, 14]), before=9, after=15).tolist()
    [10, 12, 12, 12, 14]
    """
    padded = np.concatenate([[before], times, [after]])
    return np.asarray(np.sort(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)[1])


def _timed(tables: Iterator[pa.Table]) -> Iterator[Part]:
    """Tables with their rows' times; a table's last row waits for its neighbour in the next one."""
    before, floor = -1, 0
    held: pa.Table | None = None
    for table in chain(tables, [None]):
        whole = table if held is None else held if table is None else pa.concat_tables([held, table])
        if whole is None:
            return
        times = whole["time_ms"].to_numpy()
        ready = len(times) if table is None else len(times) - 1
        if ready:
            after = int(times[ready]) if ready < len(times) else int(times[-1])
            found = np.maximum.accumulate(np.maximum(taken_ms(times[:ready], before, after), floor))
            yield found, whole.slice(0, ready)
            before, floor = int(times[ready - 1]), int(found[-1])
        held = whole.slice(ready)


def _slice(taken: dict[str, list[Part]]) -> Slice:
    replies_ms, replies = _merged(taken[INFERENCE.name])
    labels_ms, labels = _merged(taken[FEEDBACK.name])
    return Slice(
        events(InferenceServed, replies) if replies else [],
        replies_ms,
        events(FeedbackGiven, labels) if labels else [],
        labels_ms,
    )


def _merged(parts: list[Part]) -> tuple[list[int], pa.Table | None]:
    if not parts:
        return [], None
    times = np.concatenate([each for each, _ in parts])
    order = np.argsort(times, kind="stable")
    return times[order].tolist(), pa.concat_tables([table for _, table in parts]).take(order)


def _extents(topic: Topic, table: pa.Table) -> Iterator[tuple[str, Extent]]:
    for alias in pc.unique(table["alias"]).to_pylist():
        mine = table.filter(pc.equal(table["alias"], alias))
        first, last = pc.min(mine["time_ms"]).as_py(), pc.max(mine["time_ms"]).as_py()
        if topic == INFERENCE:
            yield alias, Extent(mine.num_rows, 0, 0, first, last)
        else:
            yield alias, Extent(0, mine.num_rows, pc.sum(judged(mine)).as_py() or 0, first, last)


def _joined(one: Extent, other: Extent) -> Extent:
    return Extent(
        one.replies + other.replies,
        one.feedback + other.feedback,
        one.labels + other.labels,
        min(one.first_ms, other.first_ms),
        max(one.last_ms, other.last_ms),
    )
