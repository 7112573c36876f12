"""The agents: they take batches, hand them on, and acknowledge them once all that follows is confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from streams import metrics, topics
from streams.ingest.agent import Ingest
from streams.ingest.label_order import PATIENCE_S, ahead
from streams.ingest.prepare import GIVEN, Prepared, Source
from streams.judge.agent import Judging
from streams.judge.paused import PausedAliases
from streams.log.chunks import Chunk
from streams.log.outbox import LONGEST_WAIT_S, Outbox
from streams.log.read import Raw, span
from streams.log.settings import KafkaSettings
from streams.log.topic_ids import TopicIds, TopicMadeAnew
from streams.reports.reporter import Reporter
from streams.settings import WorkerSettings
from streams.worker.batching import Basket
from streams.worker.lag import Measured, Place

log = structlog.get_logger()

JUDGED_AT_ONCE = 2_000  # size of a batch: about 4 KiB each

Finish = Callable[[Sequence[Chunk]], None]
Take = Callable[[Sequence[Chunk], Finish], Awaitable[None]]  # `finish` hears what is done, then or later


@dataclass(slots=True)
class Worker:
    """The app and what its agents share; made by `build`, used by `run`."""

    app: Any
    ingests: list[Ingest[Any]]
    judging: Judging
    pauses: PausedAliases
    reporter: Reporter
    done: dict[Place, int] = field(default_factory=dict)  # the offset handled next
    handled_ms: dict[Place, int] = field(default_factory=dict)  # the log's time of the newest record handled
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # something was handled
    sending: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by source: the batch prepared last

    def measured(self, topic: str | None = None) -> list[Measured]:
        """How the partitions held stand, where their end is known: after the first fetch."""
        consumer = self.app.consumer
        found = []
        for at in consumer.assignment():
            if topic is None or at.topic == topic:
                place, end = Place(at.topic, at.partition), consumer.highwater(at)
                done = self.done.get(place) or consumer._committed_offset.get(at) or 0
                found += [Measured(place, end, done)] if end is not None else []
        return found


def ingest(
    worker: Worker,
    source: Source[Any],
    kafka: KafkaSettings,
    settings: WorkerSettings,
    outbox: Outbox,
    topic_ids: TopicIds,
) -> Ingest[Any]:
    def tail(partition: int, first: int, end: int) -> Sequence[Raw]:
        return span(kafka, source.topic, partition, first, end) if first < end else []

    taken_in = Ingest(source, settings, outbox, tail, partial(topic_ids, source.topic.name))

    async def take(chunks: Sequence[Chunk], finish: Finish) -> None:
        records = [record for chunk in chunks for record in chunk.records]
        if source is GIVEN:
            await _in_turn(worker, records)
        prepared = await taken_in.prepare(records)
        if source.name in worker.sending:  # the batch before, while this one was prepared
            await worker.sending[source.name]
        worker.sending[source.name] = asyncio.create_task(_send(worker, taken_in, prepared, partial(finish, chunks)))

    _agent(worker, f"ingest-{source.name}", [source.topic], Basket(settings.batch_events, settings.within_s), take)
    return taken_in


async def _send(
    worker: Worker, taken_in: Ingest[Any], prepared: Sequence[Prepared], finish: Callable[[], None]
) -> None:
    try:
        await taken_in.send(prepared)
        finish()
    except Exception as error:  # ours to mend: nothing after it would be acknowledged any more
        await worker.app.crash(error)


def judge(worker: Worker, settings: WorkerSettings) -> None:
    async def take(chunks: Sequence[Chunk], finish: Finish) -> None:
        finish(await worker.judging.take(chunks))

    _agent(worker, "judge", [topics.SCORES, topics.RESULTS], Basket(JUDGED_AT_ONCE, settings.within_s), take)


def _agent(worker: Worker, name: str, sources: list[topics.Topic], basket: Basket, take: Take) -> None:
    async def work() -> None:
        try:
            while True:
                await _handle(worker, sources[0].name, await basket.take(), take)
        except Exception as error:  # ours to mend: nothing would be handled any more
            await worker.app.crash(error)

    async def agent(stream: Any) -> None:
        handling = asyncio.create_task(work(), name=name)
        try:
            async for event in stream.events():
                basket.put(event.message.chunk)
        finally:
            handling.cancel()

    channel = worker.app.topic(*(topic.name for topic in sources), allow_empty=True)
    worker.app.agent(channel, name=name, concurrency=1)(agent)


async def _handle(worker: Worker, name: str, chunks: Sequence[Chunk], take: Take) -> None:
    """One batch, tried until it is done: skipping it would lose it, for later offsets would be acknowledged."""
    began, wait_s = time.monotonic(), 0.5
    consumer = worker.app.consumer

    def finish(done: Sequence[Chunk]) -> None:
        for chunk in done:
            consumer.done(chunk)
            place = Place(chunk.topic, chunk.partition)
            worker.done[place] = chunk.end
            worker.handled_ms[place] = chunk.newest_ms
            worker.begun.set()
        metrics.BATCH_SECONDS.labels(name).observe(time.monotonic() - began)

    while mine := [chunk for chunk in chunks if consumer.valid(chunk)]:
        try:
            await take(mine, finish)
            break
        except TopicMadeAnew:  # trying again changes nothing
            raise
        except Exception:
            metrics.RETRIES.labels(name).inc()
            log.exception("batch failed, will be tried again", topic=name, chunks=len(mine), wait_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)


async def _in_turn(worker: Worker, labels: Sequence[Raw]) -> None:
    """Waits a while for the replies that the labels are about."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        behind = {each.place.partition for each in worker.measured(topics.INFERENCE.name) if each.lag}
        times = {at.partition: ms for at, ms in worker.handled_ms.items() if at.topic == topics.INFERENCE.name}
        if not ahead(labels, times, behind):
            return
        await asyncio.sleep(0.05)


def forgetter(worker: Worker) -> Callable[..., Awaitable[None]]:
    async def forget(*_: object, **__: object) -> None:
        worker.judging.forget()
        for each in worker.ingests:
            each.forget()

    return forget
