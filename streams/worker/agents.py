"""The agents: each takes batches, hands them on, and acknowledges their chunks once all that follows is confirmed."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from streams import metrics, topics
from streams.ingest.agent import IngestAgent
from streams.ingest.judged_replies import ScoredReplies
from streams.ingest.label_order import PATIENCE_S, ahead
from streams.ingest.late_labels import LateLabels
from streams.ingest.prepare import GIVEN, IngestSource, Prepared
from streams.judge.agent import JudgeAgent
from streams.judge.paused import PausedAliases
from streams.lake.delta import LakeRefused
from streams.log.chunks import Chunk
from streams.log.outbox import LONGEST_WAIT_S, Outbox
from streams.log.read import Raw, span
from streams.log.settings import KafkaSettings
from streams.log.topic_ids import TopicIds, TopicRecreated
from streams.objects.opening import Storage
from streams.reports.reporter import Reporter
from streams.settings import WorkerSettings
from streams.worker.batching import Batcher
from streams.worker.lag import PartitionLag, TopicPartition

log = structlog.get_logger()

JUDGED_AT_ONCE = 2_000  # size of a batch: about 4 KiB each
FIRST_WAIT_S = 0.5  # before a batch that failed is tried again; twice as long each time


@dataclass(slots=True)
class Worker:
    """The app and the parts that its agents share; made by `build`, used by `run`."""

    app: Any
    ingests: list[IngestAgent[Any]]
    judge: JudgeAgent
    paused: PausedAliases
    reporter: Reporter
    late_labels: LateLabels | None = None
    judged_replies: ScoredReplies | None = None
    done: dict[TopicPartition, int] = field(default_factory=dict)  # the offset handled next
    handled_ms: dict[TopicPartition, int] = field(default_factory=dict)  # the log's time of the newest record handled
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # something was handled
    sending: dict[str, asyncio.Task[None]] = field(
        default_factory=dict
    )  # by source: the batch prepared last; what is to be written later
    settling: list[Callable[[], Awaitable[None]]] = field(default_factory=list)  # write and acknowledge what was sent
    prefix: str = ""  # of the brokers' names of topics
    unwritten: dict[str, Callable[[], int | None]] = field(
        default_factory=dict
    )  # by topic: the log's time of the oldest record that waits for the lake

    def lags(self, topic: str | None = None) -> list[PartitionLag]:
        """Return the lag of each partition held whose end is known: after the first fetch."""
        consumer = self.app.consumer
        found = []
        for at in consumer.held(*([topic] if topic else [])):
            place, end = TopicPartition(at.topic, at.partition), consumer.end(at)
            done = self.done.get(place) or consumer.committed(at)
            found += [PartitionLag(place, end, done)] if end is not None else []
        return found

    async def forget(self, *_: object, **__: object) -> None:
        """Drop what is remembered of partitions: some were taken away."""
        self.judge.forget()
        for waiting in (self.late_labels, self.judged_replies):
            if waiting is not None:
                waiting.forget()
        for each in self.ingests:
            each.forget()


@dataclass(frozen=True, slots=True)
class ChunkBatch:
    """Chunks that are handled at once."""

    chunks: Sequence[Chunk]
    began_s: float


class BatchLoop(ABC):
    """A Faust agent that gathers chunks into batches and hands on one after the other, each tried until it is done:
    skipping one would lose it, for later offsets would be acknowledged."""

    def __init__(self, worker: Worker, name: str, sources: Sequence[topics.Topic], batcher: Batcher) -> None:
        self._worker, self._topic, self._batcher = worker, sources[0].name, batcher

        async def agent(stream: Any) -> None:
            await self._consume(stream, name)

        channel = worker.app.topic(*(worker.prefix + topic.name for topic in sources), allow_empty=True)
        worker.app.agent(channel, name=name, concurrency=1)(agent)

    @abstractmethod
    async def take(self, batch: ChunkBatch) -> None:
        """Handle a batch; `acknowledge` its chunks, now or when they are done."""

    def acknowledge(self, done: Sequence[Chunk]) -> None:
        """Let the consumer commit chunks."""
        for chunk in done:
            self._worker.app.consumer.done(chunk)

    def handled(self, batch: ChunkBatch, done: Sequence[Chunk]) -> None:
        """Note that all who wait for chunks of this or an earlier batch have what they wait for."""
        for chunk in done:
            place = TopicPartition(chunk.topic, chunk.partition)
            self._worker.done[place] = chunk.end
            self._worker.handled_ms[place] = chunk.newest_ms
            self._worker.begun.set()
        metrics.BATCH_SECONDS.labels(self._topic).observe(time.monotonic() - batch.began_s)

    async def _consume(self, stream: Any, name: str) -> None:
        working = asyncio.create_task(self._work(), name=name)
        try:
            async for event in stream.events():
                self._batcher.put(event.message.chunk)
        finally:
            working.cancel()

    async def _work(self) -> None:
        try:
            while True:
                await self._handle(await self._batcher.take())
        except Exception as error:  # ours to mend: nothing would be handled any more
            await self._worker.app.crash(error)

    async def _handle(self, chunks: Sequence[Chunk]) -> None:
        began_s, wait_s = time.monotonic(), FIRST_WAIT_S
        while valid := [chunk for chunk in chunks if self._worker.app.consumer.valid(chunk)]:
            try:
                await self.take(ChunkBatch(valid, began_s))
                break
            except TopicRecreated:  # trying again changes nothing
                raise
            except Exception:
                metrics.RETRIES.labels(self._topic).inc()
                log.exception("batch failed, trying again", topic=self._topic, chunks=len(valid), wait_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)


class IngestLoop(BatchLoop):
    """Takes in the events of one source. A batch is prepared while the one before is sent. What was sent is
    acknowledged once its rows are in the lake: those of several batches are written at once."""

    def __init__(
        self,
        worker: Worker,
        source: IngestSource[Any],
        kafka: KafkaSettings,
        settings: WorkerSettings,
        storage: Storage,
        outbox: Outbox,
        topic_ids: TopicIds,
    ) -> None:
        def tail(partition: int, first: int, end: int) -> Sequence[Raw]:
            return span(kafka, source.topic, partition, first, end) if first < end else []

        self._source = source
        self._ingest = IngestAgent(source, settings, storage, outbox, tail, partial(topic_ids, source.topic.name))
        worker.ingests.append(self._ingest)
        worker.settling.append(self._commit)
        worker.unwritten[source.topic.name] = self._oldest_ms
        self._sent: list[Chunk] = []  # and not acknowledged
        self._committing = asyncio.Lock()
        self._later: asyncio.Task[None] | None = None
        self._most, self._wait_s = min(settings.lake_commit_rows, settings.batch_events), settings.lake_commit_s
        batcher = Batcher(settings.batch_events, settings.within_s)
        super().__init__(worker, f"ingest-{source.name}", [source.topic], batcher)

    async def take(self, batch: ChunkBatch) -> None:
        """Prepare the batch, and have it sent once the batch before is."""
        records = [record for chunk in batch.chunks for record in chunk.records]
        if self._source is GIVEN:
            await self._wait_for_replies(records)
        prepared = await self._ingest.prepare(records)
        if before := self._worker.sending.get(self._source.name):
            await before
        self._worker.sending[self._source.name] = asyncio.create_task(self._send(batch, prepared))

    async def _send(self, batch: ChunkBatch, prepared: Sequence[Prepared]) -> None:
        try:
            await self._ingest.send(prepared)
            self.handled(batch, batch.chunks)
            self._sent += batch.chunks
            if sum(chunk.size for chunk in self._sent) >= self._most:
                await self._commit()
            elif self._later is None:
                self._later = self._worker.sending[f"{self._source.name}, later"] = asyncio.create_task(
                    self._commit_later()
                )
        except Exception as error:  # ours to mend: nothing after it would be acknowledged any more
            await self._worker.app.crash(error)

    async def _commit_later(self) -> None:
        """Write what no further batch made enough."""
        await asyncio.sleep(self._wait_s)
        self._later = None
        try:
            await self._commit()
        except Exception as error:
            await self._worker.app.crash(error)

    async def _commit(self) -> None:
        """Write and acknowledge what was sent. A store that is away, or full, is tried again."""
        async with self._committing:
            chunks, wait_s = list(self._sent), FIRST_WAIT_S
            while chunks:
                try:
                    await self._ingest.commit()
                    break
                except LakeRefused:  # trying again changes nothing
                    raise
                except Exception:
                    metrics.RETRIES.labels(self._topic).inc()
                    log.exception("lake takes no rows, trying again", topic=self._topic, wait_s=wait_s)
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            del self._sent[: len(chunks)]
            self.acknowledge(chunks)

    def _oldest_ms(self) -> int | None:
        return min((chunk.records[0].timestamp_ms for chunk in self._sent), default=None)

    async def _wait_for_replies(self, labels: Sequence[Raw]) -> None:
        """A while, for the replies that the labels are about."""
        worker, replies = self._worker, topics.INFERENCE.name
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            behind = {each.place.partition for each in worker.lags(replies) if each.lag}
            times = {at.partition: ms for at, ms in worker.handled_ms.items() if at.topic == replies}
            if not ahead(labels, times, behind):
                return
            await asyncio.sleep(0.05)


class JudgeLoop(BatchLoop):
    """Judges the scores and takes the results of retrainings."""

    def __init__(self, worker: Worker, settings: WorkerSettings) -> None:
        batcher = Batcher(JUDGED_AT_ONCE, settings.within_s)
        super().__init__(worker, "judge", [topics.SCORES, topics.RESULTS], batcher)

    async def take(self, batch: ChunkBatch) -> None:
        """Judge the batch; acknowledge the chunks in which no row waits any more."""
        done = await self._worker.judge.take(batch.chunks)
        self.acknowledge(done)
        self.handled(batch, done)
