"""From bytes to rows for the lake, scores for the judge, and dead letters for the events that cannot be read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from numpy.typing import NDArray

from monitor.describe.descriptors import Describer
from monitor.rows import ScoreRows
from streams import codec
from streams.events import DeadLetter, FeedbackGiven, InferenceServed, ScoreBatch
from streams.identity import ALIAS
from streams.ingest.duplicates import RecentIds
from streams.ingest.score_rows import score_feedback, score_served
from streams.lake import table as lake
from streams.lake.profiles import Described
from streams.log.dead_letters import letter
from streams.log.outbox import Outgoing, outgoing
from streams.log.read import Raw
from streams.topics import FEEDBACK, INFERENCE, SCORES, Topic

E = TypeVar("E", InferenceServed, FeedbackGiven)
T = TypeVar("T")
Entries = list[tuple[int, E]]  # offset and event
Floats = NDArray[np.float64]

LONGEST_VERSION = 128
MOST_ROWS = 10_000  # in one record of the scores: some 300 bytes each, and it takes 16 MiB
AHEAD_MS = 86_400_000  # an event this far after its record was written has a broken clock


@dataclass(frozen=True, slots=True)
class Built:
    """The fresh events of one partition, as rows and scores. `values` are their descriptors, empty for feedback."""

    table: pa.Table
    scores: list[Outgoing]
    rows: ScoreRows
    values: Floats


@dataclass(frozen=True, slots=True)
class Prepared:
    """One partition's part of a batch. Every offset is in the table, a duplicate, or a dead letter."""

    partition: int
    first_offset: int
    last_offset: int
    built: Built
    dead_letters: list[DeadLetter]
    duplicates: int
    topic_id: str = ""

    @property
    def events(self) -> int:
        """Return how many fresh events there are."""
        return int(self.built.table.num_rows)


@dataclass(frozen=True, slots=True)
class IngestSource(Generic[E]):
    """A topic that is taken in: its kind of event, and how it becomes the judge's rows."""

    topic: Topic
    kind: type[E]
    name: Literal["inference", "feedback"]
    score: Callable[[Entries[E], Describer], tuple[ScoreRows, Floats]]
    describe: Describer = field(default_factory=Describer)


def prepare(source: IngestSource[E], recent: RecentIds, raws: Sequence[Raw], topic_id: str = "") -> Prepared:
    """Return the rows, scores and letters of consecutive records of one partition of the topic with this id. No record
    makes it fail: one that cannot be read, scored or stored becomes a dead letter. Preparing the same records again
    gives the same."""
    entries, letters = _decoded(source, raws)
    fresh = [(offset, event) for offset, event in entries if not recent.repeated(event.id, offset)]
    first, last, partition = raws[0].offset, raws[-1].offset, raws[0].partition

    logged_ms = {raw.offset: raw.timestamp_ms for raw in raws}

    def build(some: Entries[E]) -> Built:
        return _built(source, partition, (first, last), some, logged_ms, topic_id)

    try:
        built = build(fresh)
    except Exception:
        sound, poisoned = sift(build, fresh)
        built = build(sound)
        by_offset = {raw.offset: raw for raw in raws}
        letters += [letter(source.topic, by_offset[at], f"cannot be handled: {error}") for (at, _), error in poisoned]
    return Prepared(partition, first, last, built, letters, len(entries) - len(fresh), topic_id)


def sift(work: Callable[[list[T]], object], items: list[T]) -> tuple[list[T], list[tuple[T, Exception]]]:
    """Return the items with which `work` succeeds, and those, each alone, that make it fail.

    >>> sift(lambda some: [1 / x for x in some], [4, 0, 2])
    ([4, 2], [(0, ZeroDivisionError('division by zero'))])
    """
    if not items:
        return [], []
    try:
        work(items)
    except Exception as error:
        if len(items) == 1:
            return [], [(items[0], error)]
        half = len(items) // 2
        (sound, bad), (more, worse) = sift(work, items[:half]), sift(work, items[half:])
        return [*sound, *more], [*bad, *worse]
    return items, []


def _decoded(source: IngestSource[E], raws: Sequence[Raw]) -> tuple[Entries[E], list[DeadLetter]]:
    entries: Entries[E] = []
    letters: list[DeadLetter] = []
    for raw in raws:
        try:
            event = codec.decode(source.kind, raw.value)
            _check(event, raw)
            entries.append((raw.offset, event))
        except ValueError as error:
            letters.append(letter(source.topic, raw, str(error)))
    return entries, letters


def _check(event: InferenceServed | FeedbackGiven, raw: Raw) -> None:
    """Beyond the types; raises ValueError."""
    if not ALIAS.fullmatch(event.alias):
        raise ValueError(f"alias is {event.alias!r}, expected lower-case letters, digits, '-' and '_', 1 to 48 of them")
    if not event.id:
        raise ValueError("id is empty, expected the event's id")
    if len(event.version) > LONGEST_VERSION:
        raise ValueError(f"version has {len(event.version)} characters, expected at most {LONGEST_VERSION}")
    if not 0 <= event.time_ms <= raw.timestamp_ms + AHEAD_MS:
        raise ValueError(
            f"time_ms is {event.time_ms}, expected milliseconds since the epoch, at most a day after the record was "
            f"written ({raw.timestamp_ms}): set the sender's clock"
        )


def _built(
    source: IngestSource[E],
    partition: int,
    covered: tuple[int, int],
    entries: Entries[E],
    logged_ms: Mapping[int, int],
    topic_id: str,
) -> Built:
    rows, values = source.score(entries, source.describe)
    rows = replace(rows, logged_ms=[logged_ms[offset] for offset in rows.offsets])
    events = [event for _, event in entries]
    table = lake.rows(source.kind, partition, rows.offsets, events, topic_id, rows.logged_ms)
    places: dict[str, list[int]] = {}
    for i, (_, event) in enumerate(entries):
        places.setdefault(event.alias, []).append(i)
    scores = [
        ScoreBatch(
            alias=alias,
            source_topic=source.topic.name,
            partition=partition,
            first_offset=first,
            last_offset=last,
            descriptor_names=list(source.describe.names) if source.name == "inference" else [],
            rows=rows if len(part) == len(entries) else rows.take(part),
            topic_id=topic_id,
        )
        for alias, chosen in places.items()
        for first, last, part in _parts(rows.offsets, chosen, covered)
    ]
    return Built(table, [_outgoing(each) for each in scores], rows, values)


def _parts(
    offsets: Sequence[int], chosen: Sequence[int], covered: tuple[int, int]
) -> Iterator[tuple[int, int, Sequence[int]]]:
    """The chosen rows in parts that fit into a record, each with the offsets that it covers: all of them together.

    >>> list(_parts([3, 4, 7], [0, 2], (2, 9)))
    [(2, 9, [0, 2])]
    """
    first = covered[0]
    for at in range(0, len(chosen), MOST_ROWS):
        part = chosen[at : at + MOST_ROWS]
        last = covered[1] if at + MOST_ROWS >= len(chosen) else offsets[part[-1]]
        yield first, last, part
        first = last + 1


def _outgoing(scores: ScoreBatch) -> Outgoing:
    id = codec.deterministic_id(
        "scores", scores.source_topic, scores.partition, scores.first_offset, scores.last_offset, scores.alias
    )
    return outgoing(SCORES, scores, id=id, time_ms=max(scores.rows.times_ms))


def described(built: Built) -> Described | None:
    """Return the rows as the profiles take them; None for feedback."""
    if not built.values.shape[1]:
        return None
    aliases = built.table["alias"].to_pylist()
    return Described(aliases, built.rows.versions, built.rows.times_ms, built.rows.offsets, built.values)


def identities(source: IngestSource[E], raws: Sequence[Raw]) -> Iterator[tuple[str, int]]:
    """Yield id and offset of the events in older records; an unreadable record has none."""
    for raw in raws:
        try:
            event = codec.decode(source.kind, raw.value)
            _check(event, raw)
        except ValueError:
            continue
        yield event.id, raw.offset


SERVED: IngestSource[InferenceServed] = IngestSource(INFERENCE, InferenceServed, "inference", score_served)
GIVEN: IngestSource[FeedbackGiven] = IngestSource(FEEDBACK, FeedbackGiven, "feedback", score_feedback)
