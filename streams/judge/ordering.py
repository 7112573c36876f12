"""Scores in the order of the log's own time, whichever worker took their events in, how often, and when. Pure.

Replies and labels lie in several partitions, which workers take in at their own pace, die over, and take in again.
If they were judged as they come, alarms would depend on that. Here rows wait until every partition is known to be past
their tick (`PartitionsPassed`); a tick is a second of the log's time. Within a tick replies come before labels, then
lower partitions and offsets before higher ones, and each event once; operators' answers come last. So the batches that
are judged depend on the log alone, and on nothing that happened to workers.

Rows are released before their time for two reasons: a partition has not moved for `patience_s`, or there is no `room`
for more. Then nothing is lost, but rows are judged in the order in which they came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter

from msgspec.structs import replace

from monitor.rows import ScoreRows, joined
from monitor.validation import require
from streams import codec
from streams.events import AlarmAnswered, PartitionsPassed, ScoreBatch
from streams.log.read import Raw
from streams.topics import TAKEN_IN

MOST_AHEAD_MS = 10_000  # an operator's answer waits so long at most
SOURCES = tuple(topic.name for topic in TAKEN_IN)  # in this order within a tick


@dataclass(frozen=True, slots=True)
class Ordering:
    """`tick_ms`: how much of the log's time is one tick. `patience_s`: how long others wait for a partition that does
    not move. `room`: how much of one partition of the scores may be in hand, as `streams.log.chunks.size` counts: what
    waits, and all that came after it, of which nothing can be acknowledged."""

    tick_ms: int = 1_000
    patience_s: float = 60.0
    room: int = 16_000

    def __post_init__(self) -> None:
        for name in ("tick_ms", "patience_s", "room"):
            require(self, name, getattr(self, name) > 0, "more than 0")


@dataclass(frozen=True, slots=True)
class Piece:
    """An alias's rows of one partition that are judged at once, and the records of the scores that they came in."""

    scores: ScoreBatch
    time_ms: int  # when the log took the last of them
    records: tuple[Raw, ...]
    ends_tick: bool = True  # no more of the alias's replies, or of its labels, follow in the tick


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """An operator's answer to an alias's alarms, its record, and the tick that it ends."""

    answered: AlarmAnswered
    record: Raw
    tick: int

    @property
    def records(self) -> tuple[Raw, ...]:
        """Return the record as a piece of rows has its own."""
        return (self.record,)


@dataclass(slots=True)
class _Waiting:
    """A record of the scores, of which the rows before `at` are released."""

    record: Raw
    scores: ScoreBatch
    ticks: list[int]
    at: int = 0


@dataclass(slots=True)
class Merge:
    """The rows of one partition of the scores that wait for their tick. After each rebalance a new one is filled from
    the records that are not acknowledged. `now_s` is any clock that only rises."""

    ordering: Ordering
    began_s: float
    read_to: int = 0  # the offset of the scores that comes next
    passed_ms: dict[str, int] = field(default_factory=dict)  # by topic/partition
    moved_s: dict[str, float] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=dict)  # by topic
    left_out: list[str] = field(default_factory=list)  # whose rows are not waited for
    _waiting: list[_Waiting] = field(default_factory=list)
    _answers: list[AnswerPiece] = field(default_factory=list)
    _reached: dict[tuple[str, str, int], int] = field(default_factory=dict)  # tick, by alias, topic and partition

    def add(self, record: Raw, now_s: float) -> None:
        """Take the next record; one taken before changes nothing. Raises ValueError for one that cannot be read."""
        if record.offset < self.read_to:
            return
        self.read_to = record.offset + 1
        event = decode_scores(record)
        if isinstance(event, PartitionsPassed):
            self._move(event, now_s)
        elif isinstance(event, AlarmAnswered):
            self._answers.append(AnswerPiece(event, record, self._tick_of(event)))
        elif len(event.rows):
            place = event.alias, event.source_topic, event.partition
            found = ticks(event, record, self.ordering.tick_ms, self._reached.get(place, -1))
            self._reached[place] = found[-1]
            self._waiting.append(_Waiting(record, _undrawn(event), found))

    def ready(self, now_s: float, until: int = 0) -> tuple[int, list[Piece | AnswerPiece]]:
        """Return the last tick that may be judged, and the rows up to it, cut as they are to be judged.

        Rows stay until `release(last)` is called. Before the offset `until` of the scores none may wait any longer."""
        newest = [(each.record.offset, each.ticks[-1]) for each in self._waiting]
        newest += [(each.record.offset, each.tick) for each in self._answers]
        last = max(self._passed(now_s), max((tick for offset, tick in newest if offset < until), default=-1))
        parts = [each for waiting in self._waiting for each in _parts(waiting, last)]
        return last, list(_pieces(parts, [each for each in self._answers if each.tick <= last]))

    def release(self, last: int) -> None:
        """Drop the rows up to that tick: they are judged, and the judge's memory of them is confirmed."""
        for each in self._waiting:
            each.at = max(each.at, bisect_right(each.ticks, last))
        self._waiting = [each for each in self._waiting if each.at < len(each.ticks)]
        self._answers = [each for each in self._answers if each.tick > last]

    @property
    def waits_from(self) -> int:
        """Return the offset of the scores before which no row waits: records up to it may be acknowledged."""
        waiting = [each.record.offset for each in self._waiting] + [each.record.offset for each in self._answers]
        return min(waiting, default=self.read_to)

    @property
    def rows(self) -> int:
        """Return how many rows wait."""
        return sum(len(each.ticks) - each.at for each in self._waiting)

    def _tick_of(self, answer: AlarmAnswered) -> int:
        """Not before the ticks that all partitions had passed by then: those may be judged already. Nor long after
        them, whatever the operator's clock shows. The records before it are the same in each reading, and so is its
        tick."""
        origins = [f"{topic}/{p}" for topic in SOURCES for p in range(self.partitions.get(topic, 1))]
        passed_ms = min(self.passed_ms.get(each, 0) for each in origins)
        at_ms = min(answer.time_ms, passed_ms + MOST_AHEAD_MS) if passed_ms else answer.time_ms
        return max(at_ms // self.ordering.tick_ms, passed_ms // self.ordering.tick_ms - 1)

    def _move(self, event: PartitionsPassed, now_s: float) -> None:
        for topic, count in event.partitions.items():  # never fewer: a worker may not know of new ones yet
            self.partitions[topic] = max(count, self.partitions.get(topic, 1))
        for origin, passed_ms in event.passed_ms.items():
            if passed_ms > self.passed_ms.get(origin, -1):
                self.passed_ms[origin] = passed_ms
                self.moved_s[origin] = now_s

    def _passed(self, now_s: float) -> int:
        """The last tick that all partitions have passed, but for those that have not moved for too long."""
        patient_since_s = now_s - self.ordering.patience_s
        origins = [f"{topic}/{p}" for topic in SOURCES for p in range(self.partitions.get(topic, 1))]
        self.left_out = [each for each in origins if self.moved_s.get(each, self.began_s) < patient_since_s]
        awaited = [self.passed_ms.get(each, 0) for each in origins if each not in self.left_out]
        if not awaited:
            return max((each.ticks[-1] for each in self._waiting), default=-1)
        return min(awaited) // self.ordering.tick_ms - 1


def decode_scores(record: Raw) -> ScoreBatch | PartitionsPassed | AlarmAnswered:
    """Return the event in a record of the scores. Raises ValueError naming what was expected."""
    try:
        scores = codec.decode(ScoreBatch, record.value)
    except codec.Undecodable as error:
        with suppress(codec.Undecodable):
            return codec.decode(PartitionsPassed, record.value)
        with suppress(codec.Undecodable):
            return codec.decode(AlarmAnswered, record.value)
        raise error from None
    if odd := scores.rows.odd():
        raise ValueError(f"rows.{odd[0]} has not as many values as rows.offsets, expected one for each event")
    if scores.source_topic not in SOURCES:
        raise ValueError(f"source_topic is {scores.source_topic!r}, expected one of {', '.join(SOURCES)}")
    return scores


def ticks(scores: ScoreBatch, record: Raw, tick_ms: int, newest: int = -1) -> list[int]:
    """Return the tick of each row; none is before that of an earlier row, or before the `newest` of earlier records:
    the judge would take the later row for all up to it. Scores without the log's time of their events have that of
    their own record.

    >>> rows = ScoreRows(offsets=[7, 8], ids=["a", "b"], times_ms=[1, 1], versions=[], arms=[], clients=[])
    >>> scores = ScoreBatch(alias="a", source_topic="inference.events", partition=0, first_offset=7, last_offset=8,
    ...     descriptor_names=[], rows=replace(rows, logged_ms=[1_999, 2_000]))
    >>> ticks(scores, Raw(0, 0, 5_000, None, None), 1_000)
    [1, 2]
    """
    logged_ms = scores.rows.logged_ms or [record.timestamp_ms] * len(scores.rows)
    return list(accumulate((max(newest, ms // tick_ms) for ms in logged_ms), max))


Part = tuple[int, _Waiting, int, int]  # a tick, and the rows of it: from, to before


def _parts(waiting: _Waiting, last: int) -> Iterator[Part]:
    at = waiting.at
    while at < len(waiting.ticks) and waiting.ticks[at] <= last:
        end = bisect_right(waiting.ticks, waiting.ticks[at])
        yield waiting.ticks[at], waiting, at, end
        at = end


def _pieces(parts: Iterable[Part], answers: Iterable[AnswerPiece]) -> Iterator[Piece | AnswerPiece]:
    """Turn by tick; the rows of a topic that was created again come after those of the one before."""
    by_place: dict[tuple[int, int, int, str, str], list[Part]] = {}
    for part in parts:
        scores = part[1].scores
        place = part[0], SOURCES.index(scores.source_topic), scores.partition, scores.alias, scores.topic_id
        by_place.setdefault(place, []).append(part)
    found = sorted(by_place.items(), key=lambda each: each[0][:-1])  # stable: a topic created again stays last
    pieces = [((tick, source, alias), piece) for (tick, source, _, alias, _), some in found for piece in _joined(some)]
    in_ticks: list[tuple[int, Piece | AnswerPiece]] = [(key[0], each) for key, each in _ended(pieces)]
    in_ticks += [(each.tick, each) for each in answers]
    yield from (each for _, each in sorted(in_ticks, key=itemgetter(0)))  # it keeps the order within a tick


def _ended(pieces: list[tuple[tuple[int, int, str], Piece]]) -> list[tuple[tuple[int, int, str], Piece]]:
    """In their order, those that are the last of their tick, source and alias marked."""
    last = {key: i for i, (key, _) in enumerate(pieces)}
    return [(key, _bare(piece, ends_tick=last[key] == i)) for i, (key, piece) in enumerate(pieces)]


def _joined(parts: list[Part]) -> list[Piece]:
    """The parts of one place as one piece, without repeated rows; as several where their columns differ."""
    runs: list[list[Piece]] = []
    for _, waiting, first, end in parts:
        rows = waiting.scores.rows.take(range(first, end))
        if runs:
            rows = rows.after(runs[-1][-1].scores.last_offset + 1)
        if len(rows):
            piece = _piece(waiting.scores, rows, (waiting.record,))
            if runs and _columns(runs[-1][0]) == _columns(piece):
                runs[-1].append(piece)
            else:
                runs.append([piece])
    return [_one(run) for run in runs]


def _columns(piece: Piece) -> tuple[list[str], set[str]]:
    return piece.scores.descriptor_names, piece.scores.rows.columns()


def _one(run: Sequence[Piece]) -> Piece:
    rows = joined([each.scores.rows for each in run])
    return _piece(run[0].scores, rows, tuple(record for each in run for record in each.records))


def _piece(scores: ScoreBatch, rows: ScoreRows, records: tuple[Raw, ...]) -> Piece:
    time_ms = rows.logged_ms[-1] if rows.logged_ms else records[-1].timestamp_ms
    part = replace(scores, first_offset=rows.offsets[0], last_offset=rows.offsets[-1], rows=rows)
    return Piece(part, time_ms, records)


def _undrawn(scores: ScoreBatch) -> ScoreBatch:
    """Without the arms drawn, which the judge does not ask for: where some rows have them and others do not, they are
    judged at once all the same."""
    rows = scores.rows
    return replace(scores, rows=replace(rows, assigned=[], units=[])) if rows.assigned or rows.units else scores


def _bare(piece: Piece, *, ends_tick: bool) -> Piece:
    """Without the times that gave it its place: it goes into the ledger, where it decides something."""
    rows = replace(piece.scores.rows, logged_ms=[])
    return Piece(replace(piece.scores, rows=rows), piece.time_ms, piece.records, ends_tick)
