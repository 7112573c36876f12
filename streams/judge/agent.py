"""The judge agent's work on one batch: what is in order past the judge, then its effects, then the memory. What is
settled then may be acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from streams import codec, ledger
from streams import dead_letters as dlq
from streams.events import AlarmRaised, Event, RetrainReported
from streams.judge import gauges
from streams.judge.alias_gauges import Board
from streams.judge.memory import JudgeRecord, Shelf, shelf
from streams.judge.ordering import Merge, Ordering, Piece, Said
from streams.judge.partition import Desk
from streams.judge.step import Effects, Heard, Place, Rules, step
from streams.log.chunks import Chunk
from streams.log.outbox import Outbox, Outgoing, outgoing
from streams.log.read import Raw
from streams.topics import ALARMS, REQUESTS, RESULTS, SCORES, WINDOWS

log = structlog.get_logger()

TOPICS = {topic.name: topic for topic in (SCORES, RESULTS)}
Read = Callable[[int], Iterable[Raw]]  # partition: all that the state topic holds for it


@dataclass(slots=True)
class Outcome:
    """What a partition's part of a batch came to."""

    memories: dict[str, JudgeRecord] = field(default_factory=dict)
    effects: list[Effects] = field(default_factory=list)
    turn: int = -1  # up to which rows were judged
    time_ms: int = 0

    def of(self, name: str) -> list[Event]:
        return [event for each in self.effects for event in getattr(each, name)]


@dataclass(slots=True)
class Judging:
    """Takes batches of scores and results; one at a time. `paused` tells of an alias whether a human stopped the
    automation; `alarmed` hears of each alarm that is out, once or more."""

    rules: Rules
    outbox: Outbox
    read_state: Read
    paused: Callable[[str], bool]
    alarmed: Callable[[AlarmRaised], None]
    ordering: Ordering = field(default_factory=Ordering)
    topic_id: Callable[[str], str] = lambda topic: ""  # asks the log for the id that a topic has now
    clock: Callable[[], float] = time.monotonic
    desks: dict[int, Desk] = field(default_factory=dict)
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        self.board = Board(self.rules.monitor)

    async def take(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Takes scores and results. Returns once all that follows from what is in order is confirmed, and then the
        memory, with the chunks that may be acknowledged now, of these and of those before. Taking them again has the
        same effects, under the same ids."""
        desks = self.desks
        for partition in sorted({chunk.partition for chunk in chunks}):
            desk = await self._desk(desks, partition)
            if self.desks is not desks:  # taken away meanwhile: a new desk would miss what waited at the one before
                break
            await self._take(partition, desk, [chunk for chunk in chunks if chunk.partition == partition])
        return [chunk for desk in desks.values() for chunk in desk.told()]

    def forget(self) -> None:
        """Partitions were taken away: others may go on with them, so what was remembered is read again."""
        for partition in self.desks:
            gauges.given_up(partition)
        self.desks = {}
        self.board.take_away(list(self.board.shown))

    async def _take(self, partition: int, desk: Desk, chunks: Sequence[Chunk]) -> None:
        left_out = desk.merge.left_out
        desk.take(chunks)
        outcome = await asyncio.to_thread(self._judge, desk, _in_order(chunks))
        await self._confirm(desk, outcome)
        if not self._holds(partition, desk):  # a memory that is written now might hide a newer one of others
            return
        await desk.shelf.put(self.outbox, list(outcome.memories.values()), outcome.time_ms)
        desk.merge.let_go(outcome.turn)
        desk.refused.clear()
        self._tell(outcome)
        if self._holds(partition, desk):
            self._show(outcome)
            gauges.waiting(partition, desk.merge, left_out)
        desk.settle()

    def _holds(self, partition: int, desk: Desk) -> bool:
        return self.desks.get(partition) is desk

    async def _desk(self, desks: dict[int, Desk], partition: int) -> Desk:
        if partition not in desks:
            found = await asyncio.to_thread(lambda: shelf(partition, self.read_state(partition)))
            log.info("state read", partition=partition, aliases=sorted(found.records))
            desks[partition] = Desk(found, Merge(self.ordering, self.clock()))
            if self.desks is desks:
                for memory in found.records.values():
                    self.board.show(memory)
        return desks[partition]

    def _judge(self, desk: Desk, records: Sequence[tuple[str, Raw]]) -> Outcome:
        results = self.topic_id(RESULTS.name) if any(name == RESULTS.name for name, _ in records) else ""
        outcome = Outcome()
        for name, raw in records:
            outcome.time_ms = max(outcome.time_ms, raw.timestamp_ms)
            try:
                if name == SCORES.name:
                    desk.merge.add(raw, self.clock())
                else:
                    place = Place(name, raw.partition, raw.offset, raw.timestamp_ms, results)
                    self._step(desk.shelf, outcome, codec.decode(RetrainReported, raw.value), place)
            except Exception as error:  # a record that cannot be judged must not stop those after it
                _refuse(desk, name, raw, error)
        outcome.turn, pieces = desk.merge.ready(self.clock(), desk.until())
        for piece in pieces:
            heard, place, raws = _turned(piece)
            if isinstance(piece, Said):  # seldom: an operator's word
                place = replace(place, topic_id=self.topic_id(SCORES.name))
            try:
                self._step(desk.shelf, outcome, heard, place)
            except Exception as error:
                for raw in raws:
                    _refuse(desk, SCORES.name, raw, error)
        return outcome

    def _step(self, shelf: Shelf, outcome: Outcome, heard: Heard, place: Place) -> None:
        known = outcome.memories.get(heard.alias) or shelf.get(heard.alias)
        memory, effects = step(self.rules, known, heard, place, paused=self.paused(heard.alias))
        if memory is not shelf.records.get(heard.alias):
            outcome.memories[heard.alias] = memory
        outcome.effects.append(effects)

    async def _confirm(self, desk: Desk, outcome: Outcome) -> None:
        decisions = [each for effects in outcome.effects for each in effects.decisions]
        await self.outbox.confirm([*map(ledger.record, decisions), *desk.refused.values()])
        await self.outbox.confirm([record for effects in outcome.effects for record in _records(effects)])

    def _tell(self, outcome: Outcome) -> None:
        for effects in outcome.effects:
            for alarm in effects.alarms:
                self.alarmed(alarm)
            gauges.report(effects)

    def _show(self, outcome: Outcome) -> None:
        for alias, memory in outcome.memories.items():
            windows = [each for effects in outcome.effects for each in effects.windows if each.alias == alias]
            self.board.show(memory, windows)


def _turned(piece: Piece | Said) -> tuple[Heard, Place, Sequence[Raw]]:
    """What came to its turn, its place, and the records of the scores that it came in."""
    if isinstance(piece, Said):
        raw = piece.record
        return piece.answered, Place(SCORES.name, raw.partition, raw.offset, raw.timestamp_ms), [raw]
    scores = piece.scores
    at = scores.source_topic, scores.partition, scores.last_offset, piece.time_ms
    return scores, Place(*at, topic_id=scores.topic_id, ends_turn=piece.ends_turn), piece.records


def _refuse(desk: Desk, name: str, raw: Raw, error: Exception) -> None:
    letter = dlq.letter(TOPICS[name], raw, f"{type(error).__name__}: {error}")
    log.error("dead letter", topic=name, partition=raw.partition, offset=raw.offset, reason=letter.reason)
    id = dlq.letter_id(letter)
    desk.refused[id] = outgoing(dlq.QUEUES[name], letter, id=id, time_ms=letter.time_ms)


def _records(effects: Effects) -> list[Outgoing]:
    return [
        *(outgoing(ALARMS, each, id=each.id, time_ms=each.time_ms) for each in effects.alarms),
        *(outgoing(ALARMS, each, id=each.id, time_ms=each.time_ms) for each in effects.cleared),
        *(outgoing(WINDOWS, each, id=each.id, time_ms=each.end_ms) for each in effects.windows),
        *(outgoing(REQUESTS, each, id=each.id, time_ms=each.time_ms) for each in effects.requests),
    ]


def _in_order(chunks: Sequence[Chunk]) -> list[tuple[str, Raw]]:
    """The records of one partition, each with its topic: results, then scores; each once, by offset."""
    found = {(chunk.topic, record.offset): record for chunk in chunks for record in chunk.records}
    return [(name, found[name, at]) for name, at in sorted(found, key=lambda each: (each[0] != RESULTS.name, each))]
