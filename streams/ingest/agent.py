"""The ingest agent's work on one batch: decode, drop duplicates, describe, profile, score, store. Then acknowledge.

Its memory of a partition (recent ids, unwritten profiles) is valid as long as offsets follow one another; after any
jump (a rebalance, a restart) it is read again from the log and the lake. Rows wait for the lake's next commit, whose
writer knows which of them are there.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic

import pyarrow as pa
import structlog

from streams import metrics
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import E, IngestSource, Prepared, described, identities, prepare
from streams.lake.lake import Lake
from streams.lake.profiles import Profiler
from streams.lake.table import judged
from streams.lake.writer import LakeWriter, PartitionRows
from streams.log.dead_letters import QUEUES, letter_id
from streams.log.outbox import Outbox, Outgoing, outgoing
from streams.log.read import Raw
from streams.log.topic_ids import Incarnations
from streams.objects.opening import Storage
from streams.objects.store import ObjectStore
from streams.settings import WorkerSettings

log = structlog.get_logger()

OPENED_AT_ONCE = 4
PATIENCE_S = 5.0  # with a bucket: a batch waits, and is tried again
Tail = Callable[[int, int, int], Sequence[Raw]]  # partition, first offset, end: what the log holds there
TopicId = Callable[[], str]  # asks the log; empty where it is not asked


@dataclass(slots=True)
class IngestPartition:
    """The memory of one partition."""

    recent: RecentIds
    profiler: Profiler | None
    next_offset: int
    counted: int = 0  # offsets before this one are in the metrics


@dataclass(slots=True)
class IngestAgent(Generic[E]):
    """Takes batches of one topic; one at a time."""

    source: IngestSource[E]
    settings: WorkerSettings
    storage: Storage
    outbox: Outbox
    tail: Tail
    topic_id: TopicId = lambda: ""
    taken: Callable[[pa.Table], None] = lambda rows: None  # is called with rows that are scored and wait for the lake
    incarnation: int = 0
    known_id: str = ""  # the topic's, of that incarnation
    partitions: dict[int, IngestPartition] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)  # a batch may outlive the agent that is stopped
    caught_up: set[int] = field(default_factory=set)  # partitions whose profiles have all that others left in the lake
    lake: Lake = field(init=False)
    writer: LakeWriter = field(init=False)
    store: ObjectStore = field(init=False)
    incarnations: Incarnations = field(init=False)

    def __post_init__(self) -> None:
        self.lake = Lake.of(self.storage)
        self.writer = LakeWriter(self.lake, self.source.topic)
        self.store = self.storage.objects(PATIENCE_S)
        self.incarnations = Incarnations(self.store)

    async def prepare(self, raws: Sequence[Raw]) -> list[Prepared]:
        """Put records into the profiles, and return their rows and scores, which go nowhere yet. One call at a time;
        the next batch may be prepared while this one is sent. Preparing records again changes nothing."""
        prepared: list[Prepared] = await asyncio.to_thread(self._work, by_partition(raws))
        return prepared

    async def send(self, prepared: Sequence[Prepared]) -> None:
        """Send scores and dead letters; once they are confirmed, add the rows to the lake's next commit. Sent again,
        the log holds scores twice, and the judge drops the second. Batches are sent one after the other."""
        await self.outbox.confirm([record for each in prepared for record in _records(self.source, each)])
        for each in prepared:
            self.writer.add(PartitionRows(each.topic_id, each.partition, each.last_offset + 1, each.built.table))
            self.taken(each.built.table)
            self._count(each)

    async def commit(self) -> None:
        """Write the rows of all that was sent before the call, and return once they are in the lake: then the records
        may be acknowledged. One call at a time. Raises as `LakeWriter.commit`; the rows wait for the next call then."""
        await asyncio.to_thread(self.writer.commit)

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
        """Write the profiles of all rows taken. Where the store is away, the next worker takes them from the lake."""
        try:
            await asyncio.to_thread(self._write_profiles, list(self.partitions), catch_up=False)
        except OSError as error:
            log.warning("profiles are left to the next worker", error=str(error))

    def _work(self, batches: dict[int, list[Raw]]) -> list[Prepared]:
        with self.lock:
            id = self._topic()
            self._open_all({partition: raws[0].offset for partition, raws in batches.items()})
            return [self._part(self.partitions[partition], raws, id) for partition, raws in sorted(batches.items())]

    def _topic(self) -> str:
        """The id of the topic that the records are of: they were fetched before it is asked for. Raises TopicRecreated
        where their offsets are not those that the lake knows."""
        if id := self.topic_id():
            present = self.incarnations.of(self.source.topic.name, id)
            if present != self.incarnation:
                self.partitions.clear()
                self.caught_up.clear()
            self.incarnation, self.known_id = present, id
        return id

    def _part(self, at: IngestPartition, raws: list[Raw], topic_id: str) -> Prepared:
        ready = prepare(self.source, at.recent, raws, topic_id)
        at.next_offset = ready.last_offset + 1
        if ready.events and at.profiler and (rows := described(ready.built)):
            at.profiler.track(rows)
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
        profiler = None
        if self.source.name == "inference":
            profiler = self._profiler(partition)
            profiler.resume(offset)
        log.info("partition opened", topic=self.source.topic.name, partition=partition, offset=offset, ids=len(recent))
        known = self.partitions.get(partition)
        return IngestPartition(recent, profiler, offset, known.counted if known else 0)

    def _profiler(self, partition: int) -> Profiler:
        return Profiler(
            self.store,
            self.lake,
            partition,
            self.settings.profile_window_s * 1_000,
            self.source.describe,
            self.incarnation,
            self.known_id,
        )

    def _write_profiles(self, partitions: Collection[int], *, catch_up: bool = True) -> None:
        """Waits for the store without the lock: batches are prepared meanwhile."""
        with self.lock:
            if catch_up and not self.caught_up.issuperset(partitions):
                self._topic()  # no batch may have told it: rows of another topic are not looked for
            tracked = {p: at.profiler for p in partitions if (at := self.partitions.get(p)) and at.profiler}
            behind = [p for p in partitions if p not in self.caught_up or (p in tracked and tracked[p].overflown)]
            fresh = {p: self._profiler(p) for p in behind if catch_up}
        errors = []
        for partition in partitions:
            try:
                if partition in tracked:  # first, or its rows would be described again from the lake
                    tracked[partition].flush()
                if partition in fresh:
                    fresh[partition].catch_up()
                    if fresh[partition].pending:
                        fresh[partition].flush()
                    self.caught_up.add(partition)
            except Exception as error:  # the others are written all the same
                errors.append(error)
        if errors:
            raise errors[0]

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
    for alias, judges in zip(table["alias"].to_pylist(), judged(table).to_pylist(), strict=True):
        if judges:
            metrics.LABELS.labels(alias).inc()
