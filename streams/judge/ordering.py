"""Scores in the order of the log's own time, whoever took their events in, how often, and when. Pure.

Replies and labels lie in several partitions, which workers take in at their own pace, die over, and take in again.
If they were judged as they come, alarms would depend on that. Here rows wait until every partition is known to be past
their turn (`PartitionsPassed`); a turn is a second of the log's time. Within a turn replies come before labels, then
lower partitions and offsets before higher ones, and each event once; what operators say comes last. So what is judged,
and how it is cut, depends on what the log holds, and on nothing that happened to workers.

Two things let rows go before their time: a partition that has not moved for `patience_s`, and that there is no `room`
for more. Then nothing is lost, but the order is the one in which things came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter

from msgspec.structs import replace

from monitor.rows import ScoreRows
from streams import codec
from streams.events import AlarmAnswered, PartitionsPassed, ScoreBatch
from streams.log.read import Raw
from streams.topics import TAKEN_IN

MOST_AHEAD_MS = 10_000  # what an operator says waits so long at most
SOURCES = tuple(topic.name for topic in TAKEN_IN)  # in this order within a turn


@dataclass(frozen=True, slots=True)
class Ordering:
    """`turn_ms`: how much of the log's time is one turn. `patience_s`: how long others wait for a partition that does
    not move. `room`: how much of one partition of the scores may be in hand, as `streams.log.chunks.size` counts: what
    waits, and all that came after it, of which nothing can be acknowledged."""

    turn_ms: int = 1_000
    patience_s: float = 60.0
    room: int = 16_000

    def __post_init__(self) -> None:
        for name in ("turn_ms", "patience_s", "room"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Ordering.{name} is {getattr(self, name)!r}, expected more than 0")


@dataclass(frozen=True, slots=True)
class Piece:
    """An alias's rows of one partition that are judged at once, and the records of the scores that they came in."""

    scores: ScoreBatch
    time_ms: int  # when the log took the last of them
    records: tuple[Raw, ...]
    ends_turn: bool = True  # no more of the alias's replies, or of its labels, follow in the turn


@dataclass(frozen=True, slots=True)
class Said:
    """What an operator says of an alias's alarms, its record, and the turn that it ends."""

    answered: AlarmAnswered
    record: Raw
    turn: int


@dataclass(slots=True)
class _Waiting:
    """A record of the scores, of which the rows before `at` were let go."""

    record: Raw
    scores: ScoreBatch
    turns: list[int]
    at: int = 0


@dataclass(slots=True)
class Merge:
    """One partition of the scores; made anew, and filled again from what is not acknowledged, after each rebalance.
    `now_s` is any clock that only rises."""

    ordering: Ordering
    began_s: float
    read_to: int = 0  # the offset of the scores that comes next
    passed_ms: dict[str, int] = field(default_factory=dict)  # by topic/partition
    moved_s: dict[str, float] = field(default_factory=dict)
    partitions: dict[str, int] = field(default_factory=dict)  # by topic
    left_out: list[str] = field(default_factory=list)  # that nobody waits for
    _waiting: list[_Waiting] = field(default_factory=list)
    _said: list[Said] = field(default_factory=list)
    _reached: dict[tuple[str, str, int], int] = field(default_factory=dict)  # turn, by alias, topic and partition

    def add(self, record: Raw, now_s: float) -> None:
        """Takes the next record; one taken before changes nothing. Raises ValueError for what cannot be read."""
        if record.offset < self.read_to:
            return
        self.read_to = record.offset + 1
        told = told_by(record)
        if isinstance(told, PartitionsPassed):
            self._move(told, now_s)
        elif isinstance(told, AlarmAnswered):
            self._said.append(Said(told, record, self._turn_of(told)))
        elif len(told.rows):
            place = told.alias, told.source_topic, told.partition
            found = turns(told, record, self.ordering.turn_ms, self._reached.get(place, -1))
            self._reached[place] = found[-1]
            self._waiting.append(_Waiting(record, told, found))

    def ready(self, now_s: float, until: int = 0) -> tuple[int, list[Piece | Said]]:
        """The last turn that may be let go, and what there is up to it as it is to be judged. It waits on until it is
        `let_go`. Before the offset `until` of the scores nothing may wait any longer."""
        newest = [(each.record.offset, each.turns[-1]) for each in self._waiting]
        newest += [(each.record.offset, each.turn) for each in self._said]
        last = max(self._passed(now_s), max((turn for offset, turn in newest if offset < until), default=-1))
        parts = [each for waiting in self._waiting for each in _parts(waiting, last)]
        return last, list(_pieces(parts, [each for each in self._said if each.turn <= last]))

    def let_go(self, last: int) -> None:
        """Rows up to that turn are judged, and the judge's memory of it is confirmed."""
        for each in self._waiting:
            each.at = max(each.at, bisect_right(each.turns, last))
        self._waiting = [each for each in self._waiting if each.at < len(each.turns)]
        self._said = [each for each in self._said if each.turn > last]

    @property
    def settled(self) -> int:
        """The offset of the scores before which nothing waits: what may be acknowledged."""
        waiting = [each.record.offset for each in self._waiting] + [each.record.offset for each in self._said]
        return min(waiting, default=self.read_to)

    @property
    def rows(self) -> int:
        """How many wait."""
        return sum(len(each.turns) - each.at for each in self._waiting)

    def _turn_of(self, told: AlarmAnswered) -> int:
        """Not before the turns that all partitions had passed by then: those may be judged already. Nor long after
        them, whatever the operator's clock says. What the records of the scores before it say is the same for whoever
        reads them again, and so is its turn."""
        origins = [f"{topic}/{p}" for topic in SOURCES for p in range(self.partitions.get(topic, 1))]
        passed_ms = min(self.passed_ms.get(each, 0) for each in origins)
        said_ms = min(told.time_ms, passed_ms + MOST_AHEAD_MS) if passed_ms else told.time_ms
        return max(said_ms // self.ordering.turn_ms, passed_ms // self.ordering.turn_ms - 1)

    def _move(self, told: PartitionsPassed, now_s: float) -> None:
        for topic, count in told.partitions.items():  # never fewer: a worker may know them from before there were more
            self.partitions[topic] = max(count, self.partitions.get(topic, 1))
        for origin, passed_ms in told.passed_ms.items():
            if passed_ms > self.passed_ms.get(origin, -1):
                self.passed_ms[origin] = passed_ms
                self.moved_s[origin] = now_s

    def _passed(self, now_s: float) -> int:
        """The last turn that all partitions have passed, but for those that have not moved for too long."""
        patient_since_s = now_s - self.ordering.patience_s
        origins = [f"{topic}/{p}" for topic in SOURCES for p in range(self.partitions.get(topic, 1))]
        self.left_out = [each for each in origins if self.moved_s.get(each, self.began_s) < patient_since_s]
        awaited = [self.passed_ms.get(each, 0) for each in origins if each not in self.left_out]
        return min(awaited) // self.ordering.turn_ms - 1 if awaited else self._newest()

    def _newest(self) -> int:
        return max((each.turns[-1] for each in self._waiting), default=-1)


def told_by(record: Raw) -> ScoreBatch | PartitionsPassed | AlarmAnswered:
    """What a record of the scores says. Raises ValueError naming what was expected."""
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


def turns(scores: ScoreBatch, record: Raw, turn_ms: int, newest: int = -1) -> list[int]:
    """The turn of each row; none is before that of an earlier row, or before the `newest` of those in earlier records:
    the judge would take the later row for all up to it. Scores that do not say when the log took their events have the
    time of their own record.

    >>> rows = ScoreRows(offsets=[7, 8], ids=["a", "b"], times_ms=[1, 1], versions=[], arms=[], clients=[])
    >>> scores = ScoreBatch(alias="a", source_topic="inference.events", partition=0, first_offset=7, last_offset=8,
    ...     descriptor_names=[], rows=replace(rows, logged_ms=[1_999, 2_000]))
    >>> turns(scores, Raw(0, 0, 5_000, None, None), 1_000)
    [1, 2]
    """
    logged_ms = scores.rows.logged_ms or [record.timestamp_ms] * len(scores.rows)
    return list(accumulate((max(newest, ms // turn_ms) for ms in logged_ms), max))


Part = tuple[int, _Waiting, int, int]  # a turn, and the rows of it: from, to before


def _parts(waiting: _Waiting, last: int) -> Iterator[Part]:
    at = waiting.at
    while at < len(waiting.turns) and waiting.turns[at] <= last:
        end = bisect_right(waiting.turns, waiting.turns[at])
        yield waiting.turns[at], waiting, at, end
        at = end


def _pieces(parts: Iterable[Part], said: Iterable[Said]) -> Iterator[Piece | Said]:
    """Turn by turn; of a topic that was made anew, what it had before comes first."""
    by_place: dict[tuple[int, int, int, str, str], list[Part]] = {}
    for part in parts:
        scores = part[1].scores
        place = part[0], SOURCES.index(scores.source_topic), scores.partition, scores.alias, scores.topic_id
        by_place.setdefault(place, []).append(part)
    found = sorted(by_place.items(), key=lambda each: each[0][:-1])  # a topic made anew after the one before
    pieces = [((turn, source, alias), piece) for (turn, source, _, alias, _), some in found for piece in _joined(some)]
    turns: list[tuple[int, Piece | Said]] = [(key[0], each) for key, each in _ended(pieces)]
    turns += [(each.turn, each) for each in said]
    yield from (each for _, each in sorted(turns, key=itemgetter(0)))  # it keeps the order within a turn


def _ended(pieces: list[tuple[tuple[int, int, str], Piece]]) -> list[tuple[tuple[int, int, str], Piece]]:
    """In their order, those that are the last of their turn, source and alias marked."""
    last = {key: i for i, (key, _) in enumerate(pieces)}
    return [(key, _bare(piece, ends_turn=last[key] == i)) for i, (key, piece) in enumerate(pieces)]


def _joined(parts: list[Part]) -> list[Piece]:
    """The parts of one place as one piece, without what came again."""
    pieces: list[Piece] = []
    for _, waiting, first, end in parts:
        rows = waiting.scores.rows.take(range(first, end))
        if pieces:
            rows = rows.after(pieces[-1].scores.last_offset + 1)
        if len(rows):
            piece = _piece(waiting.scores, rows, (waiting.record,))
            pieces[-1:] = _two(pieces[-1], piece) if pieces else [piece]
    return pieces


def _two(one: Piece, other: Piece) -> list[Piece]:
    """As one, where they have the same columns."""
    if one.scores.descriptor_names != other.scores.descriptor_names:
        return [one, other]
    try:
        rows = one.scores.rows.joined(other.scores.rows)
    except ValueError:
        return [one, other]
    return [_piece(one.scores, rows, (*one.records, *other.records))]


def _piece(scores: ScoreBatch, rows: ScoreRows, records: tuple[Raw, ...]) -> Piece:
    time_ms = rows.logged_ms[-1] if rows.logged_ms else records[-1].timestamp_ms
    told = replace(scores, first_offset=rows.offsets[0], last_offset=rows.offsets[-1], rows=rows)
    return Piece(told, time_ms, records)


def _bare(piece: Piece, *, ends_turn: bool) -> Piece:
    """Without the times that gave it its place: it goes into the ledger, where it decides something."""
    rows = replace(piece.scores.rows, logged_ms=[])
    return Piece(replace(piece.scores, rows=rows), piece.time_ms, piece.records, ends_turn)
