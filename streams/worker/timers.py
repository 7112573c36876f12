"""What a worker does every few seconds, whatever comes: it writes profiles, tells the judge how far it is, and looks
whether anything hangs."""

from __future__ import annotations

import asyncio
import time
from uuid import uuid4

import structlog

from streams import topics
from streams.clock import now_ms
from streams.log.outbox import Outbox
from streams.settings import WorkerSettings
from streams.worker.agents import Worker
from streams.worker.lag import Place, Watchdog
from streams.worker.watermarks import Stand, outgoing, told

log = structlog.get_logger()


def profile(worker: Worker, settings: WorkerSettings) -> None:
    """Profiles of quiet partitions are written too."""

    async def write() -> None:
        mine = [at.partition for at in worker.app.consumer.assignment() if at.topic == topics.INFERENCE.name]
        try:
            await asyncio.gather(*(each.write_profiles(mine) for each in worker.ingests))
        except Exception:
            log.exception("profiles cannot be written, will be tried again", partitions=sorted(mine))

    worker.app.timer(interval=settings.profile_flush_s)(write)


def passage(worker: Worker, settings: WorkerSettings, outbox: Outbox) -> None:
    """The judge hears how far this worker is."""
    name = f"{settings.app_id}/{uuid4().hex[:12]}"

    async def tell() -> None:
        while True:  # a timer would complain where telling takes longer than a round
            await asyncio.sleep(settings.passed_every_s)
            try:
                await _tell(worker, name, settings, outbox)
            except Exception:
                log.exception("how far this worker is cannot be told, will be tried again")

    worker.app.task(tell)


async def _tell(worker: Worker, name: str, settings: WorkerSettings, outbox: Outbox) -> None:
    consumer, generation = worker.app.consumer, worker.app.consumer_generation_id
    mine = [at for at in consumer.assignment() if at.topic in {topic.name for topic in topics.TAKEN_IN}]
    if not mine:
        return
    asked_ms = now_ms()
    ends = await consumer.highwaters(*mine)
    reached = await consumer.reached(mine)
    if not consumer.flow_active or worker.app.consumer_generation_id != generation:
        return  # others may hold them by now
    stands = {
        f"{at.topic}/{at.partition}": Stand(reached[at], ends[at], worker.handled_ms.get(Place(at.topic, at.partition)))
        for at in mine
    }
    counts = {topic.name: consumer.partitions(topic.name) for topic in topics.TAKEN_IN}
    if not all(counts.values()):  # not known yet
        return
    event = told(name, stands, counts, asked_ms, round(settings.clock_skew_s * 1_000))
    await outbox.confirm(outgoing(event, range(consumer.partitions(topics.SCORES.name)), asked_ms))


def watch(worker: Worker, settings: WorkerSettings) -> None:
    dog = Watchdog(settings.stalled_s)

    async def look() -> None:
        measured = worker.measured()
        dog.tell(measured, dog.look(measured, time.monotonic()))

    worker.app.timer(interval=settings.lag_every_s)(look)
