"""The judge agent's work on one batch: each record past the judge, then its effects, then the memory. Then
acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from monitor.judge import progress
from streams import codec, dlq, ledger, metrics
from streams.events import AlarmRaised, Event, RetrainReported, ScoreBatch, WindowClosed
from streams.judge import Effects, Heard, Place, Rules, step
from streams.log import Raw
from streams.outbox import Outbox, Outgoing, outgoing
from streams.state import JudgeRecord, Shelf, shelf
from streams.topics import ALARMS, REQUESTS, RESULTS, SCORES, WINDOWS, Topic

log = structlog.get_logger()

KINDS: dict[str, tuple[Topic, type[Heard]]] = {
    SCORES.name: (SCORES, ScoreBatch),
    RESULTS.name: (RESULTS, RetrainReported),
}
Read = Callable[[int], Iterable[Raw]]  # partition: all that the state topic holds for it


@dataclass(slots=True)
class Outcome:
    """What a partition's part of a batch came to."""

    memories: dict[str, JudgeRecord] = field(default_factory=dict)
    effects: list[Effects] = field(default_factory=list)
    letters: list[Outgoing] = field(default_factory=list)
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
    shelves: dict[int, Shelf] = field(default_factory=dict)

    async def take(self, records: Sequence[tuple[str, Raw]]) -> None:
        """Takes records, each with its topic's name. Returns once all effects and then the memory are confirmed:
        then they may be acknowledged. Taking them again has the same effects, under the same ids."""
        for partition, mine in _by_partition(records).items():
            shelf = await self._shelf(partition)
            outcome = await asyncio.to_thread(self._judge, shelf, mine)
            await self._confirm(outcome)
            await shelf.put(self.outbox, list(outcome.memories.values()), outcome.time_ms)
            self._tell(outcome)

    def forget(self) -> None:
        """Partitions were taken away: others may go on with them, so what was remembered is read again."""
        self.shelves.clear()

    async def _shelf(self, partition: int) -> Shelf:
        if partition not in self.shelves:
            found = await asyncio.to_thread(lambda: shelf(partition, self.read_state(partition)))
            log.info("state read", partition=partition, aliases=sorted(found.records))
            self.shelves[partition] = found
        return self.shelves[partition]

    def _judge(self, shelf: Shelf, records: Sequence[tuple[str, Raw]]) -> Outcome:
        outcome = Outcome()
        for name, raw in records:
            topic, kind = KINDS[name]
            outcome.time_ms = max(outcome.time_ms, raw.timestamp_ms)
            try:
                heard = codec.decode(kind, raw.value)
                memory = outcome.memories.get(heard.alias) or shelf.get(heard.alias)
                place = Place(name, raw.partition, raw.offset, raw.timestamp_ms)
                memory, effects = step(self.rules, memory, heard, place, paused=self.paused(heard.alias))
            except Exception as error:  # a record that cannot be judged must not stop those after it
                letter = dlq.letter(topic, raw, f"{type(error).__name__}: {error}")
                log.error("dead letter", topic=name, partition=raw.partition, offset=raw.offset, reason=letter.reason)
                outcome.letters.append(
                    outgoing(dlq.QUEUES[name], letter, id=dlq.letter_id(letter), time_ms=letter.time_ms)
                )
                continue
            if memory is not shelf.records.get(heard.alias):
                outcome.memories[heard.alias] = memory
            outcome.effects.append(effects)
        return outcome

    async def _confirm(self, outcome: Outcome) -> None:
        decisions = [each for effects in outcome.effects for each in effects.decisions]
        await self.outbox.confirm([*map(ledger.record, decisions), *outcome.letters])
        await self.outbox.confirm([record for effects in outcome.effects for record in _records(effects)])

    def _tell(self, outcome: Outcome) -> None:
        for effects in outcome.effects:
            for alarm in effects.alarms:
                self.alarmed(alarm)
            _report(effects)
        for memory in outcome.memories.values():
            _gauge(memory)


def _records(effects: Effects) -> list[Outgoing]:
    return [
        *(outgoing(ALARMS, each, id=each.id, time_ms=each.time_ms) for each in effects.alarms),
        *(outgoing(WINDOWS, each, id=each.id, time_ms=each.end_ms) for each in effects.windows),
        *(outgoing(REQUESTS, each, id=each.id, time_ms=each.time_ms) for each in effects.requests),
    ]


def _by_partition(records: Sequence[tuple[str, Raw]]) -> dict[int, list[tuple[str, Raw]]]:
    """Records by partition; within a topic's partition by offset, each once."""
    seen: dict[tuple[str, int, int], tuple[str, Raw]] = {}
    for name, raw in records:
        seen.setdefault((name, raw.partition, raw.offset), (name, raw))
    found: dict[int, list[tuple[str, Raw]]] = {}
    for (_, partition, _), record in sorted(seen.items(), key=lambda each: (each[0][0] != RESULTS.name, each[0])):
        found.setdefault(partition, []).append(record)
    return found


def _report(effects: Effects) -> None:
    for alarm in effects.alarms:
        metrics.ALARMS.labels(alarm.alias, alarm.kind.value).inc()
        log.warning(
            "alarm", alias=alarm.alias, version=alarm.version, kind=alarm.kind.value, id=alarm.id, what=alarm.summary
        )
    for request in effects.requests:
        metrics.RETRAINING_REQUESTS.labels(request.alias).inc()
        log.warning(
            "retraining requested", alias=request.alias, champion=request.champion, id=request.id, why=request.reason
        )
    for window in effects.windows:
        metrics.WINDOWS.labels(window.alias).inc()
        _accuracy(window)
        _gaps(window)
    for note in effects.notes:
        log.info(type(note).__name__, version=note.version, note=str(note))


def _accuracy(window: WindowClosed) -> None:
    if window.labelled:
        metrics.ACCURACY.labels(window.alias, window.version).set(window.correct / window.labelled)
    if window.estimated_accuracy is not None:
        metrics.ESTIMATED_ACCURACY.labels(window.alias, window.version).set(window.estimated_accuracy)


def _gaps(window: WindowClosed) -> None:
    for gap in window.gaps:
        labels = (window.alias, window.version, gap.key, gap.value, gap.measure)
        metrics.GAP.labels(*labels).set(gap.mean)
        metrics.GAP_LOW.labels(*labels).set(gap.low)


def _gauge(memory: JudgeRecord) -> None:
    metrics.LATE.labels(memory.alias).set(memory.judge.windows.late)
    for version, each in progress(memory.judge).items():
        metrics.REFERENCE_EVENTS.labels(memory.alias, version).set(each.reference_events)
        for detector, log10 in each.evidence.items():
            metrics.EVIDENCE.labels(memory.alias, version, detector).set(10.0**log10)
