"""The ingest agent's work on one batch: decode, drop duplicates, describe, profile, store, score. Then acknowledge.

Its memory of a partition (recent ids, the open block of the lake, unwritten profiles) is valid as long as offsets
follow one another; after any jump (a rebalance, a restart) it is read again from the log and the lake.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic

import structlog

from streams import metrics
from streams.dead_letters import QUEUES, letter_id
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import E, IngestSource, Prepared, described, identities, prepare
from streams.lake.profiles import Described, Profiler
from streams.lake.writer import LakeWriter
from streams.log import topic_ids as incarnations
from streams.log.outbox import Outbox, Outgoing, outgoing
from streams.log.read import Raw
from streams.settings import WorkerSettings

log = structlog.get_logger()

OPENED_AT_ONCE = 4
Tail = Callable[[int, int, int], Sequence[Raw]]  # partition, first offset, end: what the log holds there
TopicId = Callable[[], str]  # asks the log; empty where it is not asked


@dataclass(slots=True)
class IngestPartition:
    """The memory of one partition."""

    recent: RecentIds
    writer: LakeWriter
    profiler: Profiler | None
    next_offset: int
    counted: int = 0  # offsets before this one are in the metrics


@dataclass(slots=True)
class IngestAgent(Generic[E]):
    """Takes batches of one topic; one at a time."""

    source: IngestSource[E]
    settings: WorkerSettings
    outbox: Outbox
    tail: Tail
    topic_id: TopicId = lambda: ""
    incarnation: int = 0
    partitions: dict[int, IngestPartition] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)  # a batch may outlive the agent that is stopped
    caught_up: set[int] = field(default_factory=set)  # partitions whose profiles have all that others left in the lake

    async def prepare(self, raws: Sequence[Raw]) -> list[Prepared]:
        """Put records into the lake and the profiles, and return their scores, which are not sent yet. One call at a
        time; the next batch may be prepared while this one is sent. Preparing records again changes nothing."""
        prepared: list[Prepared] = await asyncio.to_thread(self._work, by_partition(raws))
        return prepared

    async def send(self, prepared: Sequence[Prepared]) -> None:
        """Send scores and dead letters, and return once they are confirmed: then the records may be acknowledged. Sent
        again, the log holds scores twice, and the judge drops the second. Batches are sent one after the other."""
        await self.outbox.confirm([record for each in prepared for record in _records(self.source, each)])
        for each in prepared:
            self._count(each)

    async def write_profiles(self, partitions: Collection[int]) -> None:
        """Write the profiles of these partitions: of the rows taken, and once after each rebalance of the rows that a
        worker put into the lake before it died, though no event may ever follow there."""
        if self.source.name == "inference":
            await asyncio.to_thread(self._write_profiles, partitions)

    def forget(self) -> None:
        """Look once more for rows without profiles: partitions were taken away, and another worker may die before it
        profiles its rows."""
        self.caught_up.clear()

    async def close(self) -> None:
        """Write the profiles of all rows taken."""
        await asyncio.to_thread(self._flush, 0.0)

    def _work(self, batches: dict[int, list[Raw]]) -> list[Prepared]:
        with self.lock:
            id = self._topic()
            self._open_all({partition: raws[0].offset for partition, raws in batches.items()})
            return [self._part(self.partitions[partition], raws, id) for partition, raws in sorted(batches.items())]

    def _topic(self) -> str:
        """The id of the topic that the records are of: they were fetched before it is asked for. Raises TopicRecreated
        where their offsets are not those that the lake knows."""
        if id := self.topic_id():
            present = incarnations.incarnation(self.settings.lake, self.source.topic.name, id)
            if present != self.incarnation:
                self.partitions.clear()
                self.caught_up.clear()
            self.incarnation = present
        return id

    def _part(self, at: IngestPartition, raws: list[Raw], topic_id: str) -> Prepared:
        ready = prepare(self.source, at.recent, raws, topic_id)
        at.next_offset = ready.last_offset + 1
        if ready.events:
            at.writer.add(ready.built.table)
            if at.profiler and (rows := described(ready.built)):
                self._profile(at.profiler, rows)
        return ready

    def _open_all(self, firsts: dict[int, int]) -> None:
        """Opens, side by side, the partitions whose offsets do not follow the ones before."""
        known = self.partitions
        jumps = {p: first for p, first in firsts.items() if p not in known or known[p].next_offset != first}
        if jumps:
            with ThreadPoolExecutor(OPENED_AT_ONCE) as pool:
                known.update(zip(jumps, pool.map(self._open, jumps, jumps.values()), strict=True))

    def _open(self, partition: int, offset: int) -> IngestPartition:
        settings = self.settings
        recent = RecentIds(settings.recent_offsets)
        older = self.tail(partition, max(0, offset - settings.recent_offsets), offset)
        recent.recall(identities(self.source, older))
        writer = LakeWriter(settings.lake, self.source.topic, partition, settings.block_offsets, self.incarnation)
        profiler = None
        if self.source.name == "inference":
            profiler = self._profiler(partition)
            profiler.resume(offset)
        log.info("partition opened", topic=self.source.topic.name, partition=partition, offset=offset, ids=len(recent))
        known = self.partitions.get(partition)
        return IngestPartition(recent, writer, profiler, offset, known.counted if known else 0)

    def _profiler(self, partition: int) -> Profiler:
        settings = self.settings
        return Profiler(
            settings.profiles,
            settings.lake,
            partition,
            settings.profile_window_s * 1_000,
            settings.profile_flush_s,
            self.source.describe,
            self.incarnation,
            flushed_s=time.monotonic(),
        )

    def _write_profiles(self, partitions: Collection[int]) -> None:
        with self.lock:
            for partition in partitions:
                at = self.partitions.get(partition)
                if at and at.profiler:  # first, or its rows would be described again from the lake
                    at.profiler.flush(time.monotonic())
                if partition not in self.caught_up:
                    fresh = self._profiler(partition)
                    fresh.catch_up()
                    if fresh.pending:
                        fresh.flush(time.monotonic())
                    self.caught_up.add(partition)

    def _profile(self, profiler: Profiler, rows: Described) -> None:
        profiler.track(rows)
        if profiler.due(time.monotonic()):
            profiler.flush(time.monotonic())

    def _flush(self, now_s: float) -> None:
        with self.lock:
            for at in self.partitions.values():
                if at.profiler:
                    at.profiler.flush(now_s)

    def _count(self, each: Prepared) -> None:
        at = self.partitions[each.partition]
        if each.last_offset < at.counted:
            return
        at.counted = each.last_offset + 1
        topic = self.source.topic.name
        metrics.CONSUMED.labels(topic).inc(each.events)
        metrics.DUPLICATES.labels(topic).inc(each.duplicates)
        metrics.DEAD_LETTERED.labels(topic).inc(len(each.dead_letters))
        if self.source.name == "feedback":
            _count_labels(each)


def by_partition(raws: Sequence[Raw]) -> dict[int, list[Raw]]:
    """Return the records of each partition in the order of their offsets, each once: around a rebalance some come
    twice."""
    found: dict[int, dict[int, Raw]] = {}
    for raw in raws:
        found.setdefault(raw.partition, {})[raw.offset] = raw
    return {partition: [each[offset] for offset in sorted(each)] for partition, each in found.items()}


def _records(source: IngestSource[E], prepared: Prepared) -> list[Outgoing]:
    queue, records = QUEUES[source.topic.name], [*prepared.built.scores]
    for each in prepared.dead_letters:
        log.warning(
            "dead letter", topic=each.source_topic, partition=each.partition, offset=each.offset, reason=each.reason
        )
        records.append(outgoing(queue, each, id=letter_id(each), time_ms=each.time_ms))
    return records


def _count_labels(each: Prepared) -> None:
    table = each.built.table
    for alias, correct in zip(table["alias"].to_pylist(), table["correct"].to_pylist(), strict=True):
        if correct is not None:
            metrics.LABELS.labels(alias).inc()
