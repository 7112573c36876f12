"""What a worker that was never disturbed would have left behind, worked out from the log alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from monitor.rows import ScoreRows
from streams.events import Event, ScoreBatch, WindowClosed
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import GIVEN, SERVED, IngestSource, prepare
from streams.judge.memory import JudgeRecord, read_store, start
from streams.judge.step import Effects, LogPosition, Rules, step
from streams.lake.lake import Lake
from streams.lake.writer import LakeWriter, PartitionRows
from streams.log.read import partition_counts, read, span
from streams.log.settings import KafkaSettings
from streams.settings import WorkerSettings
from streams.topics import FEEDBACK, SCORES, STATE, Topic
from streams.worker.app import rules_of
from tests.streams.support import lakes
from tests.streams.support.lakes import Rows
from tests.streams.support.traffic import Plan


def rules(plan: Plan) -> Rules:
    return rules_of(plan.settings, plan.storage, plan.monitor, plan.policy)


def judged(kafka: KafkaSettings, rules: Rules, alias: str) -> tuple[JudgeRecord, dict[str, dict[str, Event]]]:
    """The memory and the effects, by kind and id, of judging the scores in the order of the log's time."""
    memory = start(alias)
    found: dict[str, dict[str, Event]] = {"decisions": {}, "alarms": {}, "windows": {}, "requests": {}}
    mine = [each.event for each in read(kafka, SCORES, ScoreBatch) if each.event.alias == alias]
    for scores, time_ms, ends_tick in in_order(mine):
        place = LogPosition(
            *(scores.source_topic, scores.partition, scores.last_offset, time_ms), scores.topic_id, ends_tick=ends_tick
        )
        memory, effects = step(rules, memory, scores, place)
        _add(found, effects)
    return memory, found


def in_order(told: Iterable[ScoreBatch], turn_ms: int = 1_000) -> Iterator[tuple[ScoreBatch, int, bool]]:
    """All that one alias has, each event once, as it is to be judged: by second, source, partition and offset; when the
    log took the last of it, and whether it is the last of its second and source."""
    known: dict[tuple[bool, int, int], tuple[ScoreBatch, int]] = {}
    for scores in told:
        for i, offset in enumerate(scores.rows.offsets):
            known.setdefault((scores.source_topic == FEEDBACK.name, scores.partition, offset), (scores, i))

    def turn(event: tuple[tuple[bool, int, int], tuple[ScoreBatch, int]]) -> tuple[int, bool, int]:
        (late, partition, _), (scores, i) = event
        return scores.rows.logged_ms[i] // turn_ms, late, partition

    ordered = sorted(known.items(), key=lambda each: (turn(each), each[0]))
    found = [(place, list(events)) for place, events in itertools.groupby(ordered, turn)]
    following = [place[:2] for place, _ in found[1:]] + [(-1, False)]
    for (place, events), after in zip(found, following, strict=True):
        yield *_together([event for _, event in events]), place[:2] != after


def _together(events: list[tuple[ScoreBatch, int]]) -> tuple[ScoreBatch, int]:
    first = events[0][0]
    columns: dict[str, list[Any]] = {
        name: [getattr(scores.rows, name)[i] for scores, i in events]
        for name in ScoreRows.__struct_fields__
        if getattr(first.rows, name) and name not in ("assigned", "units")  # a rollout's, which no judge asks for
    }
    time_ms = columns.pop("logged_ms")[-1]
    ends = {"first_offset": columns["offsets"][0], "last_offset": columns["offsets"][-1]}
    return replace(first, **ends, rows=ScoreRows(**columns)), time_ms


def _add(found: dict[str, dict[str, Event]], effects: Effects) -> None:
    for name, events in found.items():
        events.update({each.id: each for each in getattr(effects, name)})


def kept(kafka: KafkaSettings, topic: Topic, alias: str) -> dict[str, Event]:
    """A topic's events of an alias by id; the same id never has two meanings."""
    found: dict[str, Event] = {}
    for record in read(kafka, topic, topic.value):
        event: Any = record.event
        if event.alias == alias:
            assert found.setdefault(event.id, event) == event
    return found


def remembered(kafka: KafkaSettings, alias: str) -> JudgeRecord | None:
    """The judge's memory of an alias as the log has it."""
    for partition in range(partition_counts(kafka, [STATE])[STATE.name]):
        found = read_store(partition, span(kafka, STATE, partition)).records.get(alias)
        if found:
            return found
    return None


def caught_up(kafka: KafkaSettings, alias: str, ends: Mapping[str, int]) -> bool:
    """Whether the judge has seen the events up to `ends`: the next offset of each `source/partition`."""
    memory = remembered(kafka, alias)
    if memory is None:
        return False
    heads = memory.judge.heads
    return all(name in heads and heads[name].next_offset >= end for name, end in ends.items())


def ends(name: str, places: list[tuple[int, int]]) -> dict[str, int]:
    """The next offset of each partition after these places."""
    found: dict[str, int] = {}
    for partition, offset in places:
        found[f"{name}/{partition}"] = max(found.get(f"{name}/{partition}", 0), offset + 1)
    return found


def calm_rows(kafka: KafkaSettings, settings: WorkerSettings, root: Path) -> Rows:
    """The lake as one calm worker would have written it, batch by batch."""
    lake = lakes.at(root)
    for source in (SERVED, GIVEN):
        _write(kafka, source, settings, lake)
    return lakes.stored(lake)


def _write(kafka: KafkaSettings, source: IngestSource[Any], settings: WorkerSettings, lake: Lake) -> None:
    for partition in range(partition_counts(kafka, [source.topic])[source.topic.name]):
        recent = RecentIds(settings.recent_offsets)
        writer = LakeWriter(lake, source.topic)
        records = span(kafka, source.topic, partition)
        for first in range(0, len(records), 700):
            found = prepare(source, recent, records[first : first + 700], "calm")
            writer.add(PartitionRows("calm", partition, found.last_offset + 1, found.built.table))
        writer.commit()


def rows(lake: Lake, topic: Topic, alias: str) -> int:
    return lake.count(topic, alias)


def uncounted(kafka: KafkaSettings, memory: JudgeRecord, closed: Iterable[Event]) -> int:
    """Events of an alias that are neither in a window, closed or open, nor late; less than 0 where some are twice."""
    windows = memory.judge.windows
    still_open = sum(each.requests + each.labelled for mine in windows.counts.values() for each in mine.values())
    done = sum(each.requests + each.labelled for each in closed if isinstance(each, WindowClosed))
    return _countable(kafka, memory.alias) - (done + still_open + windows.late)


def _countable(kafka: KafkaSettings, alias: str) -> int:
    """Replies, and labels that say right or wrong, above the watermark."""
    heads: dict[str, int] = {}
    found = 0
    for record in read(kafka, SCORES, ScoreBatch):
        scores, name = record.event, f"{record.event.source_topic}/{record.event.partition}"
        if scores.alias == alias:
            rows = scores.rows.after(heads.get(name, 0))
            heads[name] = max(heads.get(name, 0), scores.last_offset + 1)
            found += len(rows) - rows.losses.count(None)
    return found
