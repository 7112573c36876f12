"""The judge agent's work on one batch: what is in order past the judge, then its effects, then the memory. Then the
records that no row waits in any more may be acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from streams import codec, ledger
from streams.events import AlarmRaised, RetrainReported
from streams.judge import gauges
from streams.judge.alias_gauges import AliasGauges
from streams.judge.memory import JudgeRecord, StateStore, read_store
from streams.judge.ordering import AnswerPiece, Merge, Ordering, Piece
from streams.judge.partition import PartitionState
from streams.judge.step import Effects, JudgeInput, LogPosition, Rules, step
from streams.log import dead_letters
from streams.log.chunks import Chunk
from streams.log.outbox import Outbox, Outgoing, outgoing
from streams.log.read import Raw
from streams.topics import ALARMS, REQUESTS, RESULTS, SCORES, WINDOWS

log = structlog.get_logger()

TOPICS = {topic.name: topic for topic in (SCORES, RESULTS)}
ReadState = Callable[[int], Iterable[Raw]]  # partition: all that the state topic holds for it


@dataclass(slots=True)
class JudgedPart:
    """The outcome of one partition's part of a batch."""

    memories: dict[str, JudgeRecord] = field(default_factory=dict)
    effects: list[Effects] = field(default_factory=list)
    last_tick: int = -1  # up to which rows were judged
    time_ms: int = 0

    def decisions(self) -> list[Outgoing]:
        """Return the ledger's records, which are confirmed first."""
        return [ledger.record(each) for effects in self.effects for each in effects.decisions]

    def records(self) -> list[Outgoing]:
        """Return the records that follow from the decisions."""
        return [record for effects in self.effects for record in _records(effects)]


@dataclass(slots=True)
class JudgeAgent:
    """Takes batches of scores and results; one at a time. `paused` is asked whether a human stopped the automation of
    an alias; `alarmed` is called with each alarm that is out, once or more."""

    rules: Rules
    outbox: Outbox
    read_state: ReadState
    paused: Callable[[str], bool]
    alarmed: Callable[[AlarmRaised], None]
    ordering: Ordering = field(default_factory=Ordering)
    topic_id: Callable[[str], str] = lambda topic: ""  # asks the log for the id that a topic has now
    clock: Callable[[], float] = time.monotonic
    partitions: dict[int, PartitionState] = field(default_factory=dict)
    gauges: AliasGauges = field(init=False)

    def __post_init__(self) -> None:
        self.gauges = AliasGauges(self.rules.monitor)

    async def take(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Take scores and results; return the chunks, of these and of earlier ones, that may be acknowledged now.

        Returns once all effects of the rows in order are confirmed, and then the memory. Taking chunks again has the
        same effects, under the same ids."""
        states = self.partitions
        for partition in sorted({chunk.partition for chunk in chunks}):
            state = await self._state(states, partition)
            if self.partitions is not states:  # taken away meanwhile: a new state would miss the rows that waited
                break
            await self._take(partition, state, [chunk for chunk in chunks if chunk.partition == partition])
        return [chunk for state in states.values() for chunk in state.acknowledgeable()]

    def forget(self) -> None:
        """Drop the memories: partitions were taken away, other workers may go on with them, and so they are read
        again."""
        for partition in self.partitions:
            gauges.given_up(partition)
        self.partitions = {}
        self.gauges.take_away(list(self.gauges.shown))

    async def _take(self, partition: int, state: PartitionState, chunks: Sequence[Chunk]) -> None:
        left_out = state.merge.left_out
        state.hold(chunks)
        part = await asyncio.to_thread(self._judge, state, _in_order(chunks))
        await self.outbox.confirm([*part.decisions(), *state.dead_letters.values()])
        await self.outbox.confirm(part.records())
        if not self._holds(partition, state):  # a memory that is written now might hide a newer one of others
            return
        await state.store.put(self.outbox, list(part.memories.values()), part.time_ms)
        state.merge.release(part.last_tick)
        state.dead_letters.clear()
        self._report(part)
        if self._holds(partition, state):
            self._show(part)
            gauges.waiting(partition, state.merge, left_out)
        state.advance()

    def _holds(self, partition: int, state: PartitionState) -> bool:
        return self.partitions.get(partition) is state

    async def _state(self, states: dict[int, PartitionState], partition: int) -> PartitionState:
        if partition not in states:
            found = await asyncio.to_thread(lambda: read_store(partition, self.read_state(partition)))
            log.info("state read", partition=partition, aliases=sorted(found.records))
            states[partition] = PartitionState(found, Merge(self.ordering, self.clock()))
            if self.partitions is states:
                for memory in found.records.values():
                    self.gauges.show(memory)
        return states[partition]

    def _judge(self, state: PartitionState, records: Sequence[tuple[str, Raw]]) -> JudgedPart:
        part = JudgedPart(time_ms=max((raw.timestamp_ms for _, raw in records), default=0))
        results_id = self.topic_id(RESULTS.name) if any(name == RESULTS.name for name, _ in records) else ""
        for name, raw in records:
            try:
                if name == SCORES.name:
                    state.merge.add(raw, self.clock())
                else:
                    position = LogPosition(name, raw.partition, raw.offset, raw.timestamp_ms, results_id)
                    self._step(state.store, part, codec.decode(RetrainReported, raw.value), position)
            except Exception as error:  # a record that cannot be judged must not stop those after it
                _refuse(state, name, raw, error)
        part.last_tick, pieces = state.merge.ready(self.clock(), state.release_before())
        for piece in pieces:
            event, position = self._input(piece)
            try:
                self._step(state.store, part, event, position)
            except Exception as error:
                for raw in piece.records:
                    _refuse(state, SCORES.name, raw, error)
        return part

    def _input(self, piece: Piece | AnswerPiece) -> tuple[JudgeInput, LogPosition]:
        if isinstance(piece, AnswerPiece):  # seldom
            raw, id = piece.record, self.topic_id(SCORES.name)
            return piece.answered, LogPosition(SCORES.name, raw.partition, raw.offset, raw.timestamp_ms, id)
        scores = piece.scores
        at = scores.source_topic, scores.partition, scores.last_offset, piece.time_ms
        return scores, LogPosition(*at, topic_id=scores.topic_id, ends_tick=piece.ends_tick)

    def _step(self, store: StateStore, part: JudgedPart, event: JudgeInput, position: LogPosition) -> None:
        known = part.memories.get(event.alias) or store.get(event.alias)
        memory, effects = step(self.rules, known, event, position, paused=self.paused(event.alias))
        if memory is not store.records.get(event.alias):
            part.memories[event.alias] = memory
        part.effects.append(effects)

    def _report(self, part: JudgedPart) -> None:
        for effects in part.effects:
            for alarm in effects.alarms:
                self.alarmed(alarm)
            gauges.report(effects)

    def _show(self, part: JudgedPart) -> None:
        for alias, memory in part.memories.items():
            windows = [each for effects in part.effects for each in effects.windows if each.alias == alias]
            self.gauges.show(memory, windows)


def _refuse(state: PartitionState, name: str, raw: Raw, error: Exception) -> None:
    letter = dead_letters.letter(TOPICS[name], raw, f"{type(error).__name__}: {error}")
    log.error("dead letter", topic=name, partition=raw.partition, offset=raw.offset, reason=letter.reason)
    id = dead_letters.letter_id(letter)
    state.dead_letters[id] = outgoing(dead_letters.QUEUES[name], letter, id=id, time_ms=letter.time_ms)


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
