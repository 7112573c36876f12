"""A worker's steady work, whatever comes: it writes profiles, sends the judge its watermarks, and looks
whether anything hangs."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import structlog

from streams import metrics, topics
from streams.clock import now_ms
from streams.ingest.judged_replies import ScoredReplies
from streams.ingest.late_labels import LateLabels
from streams.log.outbox import Outbox
from streams.log.settings import KafkaSettings
from streams.settings import WorkerSettings
from streams.worker.agents import Worker
from streams.worker.consumer import show_account
from streams.worker.lag import TopicPartition, Watchdog
from streams.worker.watermarks import Position, records, watermark

log = structlog.get_logger()

ACCOUNT_S = 2.0  # until a changed password's file is read again
JUDGED_EVERY_S, JUDGED_AGAIN_S = 5.0, 10.0  # what waits, many at a time; after a store could not be read


def write_profiles(worker: Worker, settings: WorkerSettings) -> None:
    """Write the profiles now and then, those of quiet partitions too."""

    async def write() -> None:
        mine = [at.partition for at in worker.app.consumer.held(topics.INFERENCE.name)]
        try:
            await asyncio.gather(*(each.write_profiles(mine) for each in worker.ingests))
        except Exception:
            log.exception("profiles cannot be written, will be tried again", partitions=sorted(mine))

    worker.app.timer(interval=settings.profile_flush_s)(write)


def send_watermarks(worker: Worker, settings: WorkerSettings, outbox: Outbox) -> None:
    """Send this worker's watermarks to the judge now and then."""
    name = f"{settings.app_id}/{uuid4().hex[:12]}"

    async def send() -> None:
        while True:  # a timer would complain where sending takes longer than its interval
            await asyncio.sleep(settings.passed_every_s)
            try:
                await _send(worker, name, settings, outbox)
            except Exception:
                log.exception("watermarks cannot be sent, will be tried again")

    worker.app.task(send)


async def _send(worker: Worker, name: str, settings: WorkerSettings, outbox: Outbox) -> None:
    consumer, generation = worker.app.consumer, worker.app.consumer_generation_id
    mine = consumer.held(*(topic.name for topic in topics.TAKEN_IN))
    if not mine:
        return
    asked_ms = now_ms()
    ends = await consumer.ends(mine)
    reached = await consumer.reached(mine)
    scored = {at: worker.done.get(TopicPartition(at.topic, at.partition), 0) for at in mine}
    if not consumer.flow_active or worker.app.consumer_generation_id != generation:
        return  # others may hold them by now
    positions = {
        f"{at.topic}/{at.partition}": Position(
            max(reached[at], scored[at]), ends[at], worker.handled_ms.get(TopicPartition(at.topic, at.partition))
        )
        for at in mine
    }
    counts = {topic.name: consumer.partitions(topic.name) for topic in topics.TAKEN_IN}
    if not all(counts.values()):  # not known yet
        return
    event = watermark(name, positions, counts, asked_ms, round(settings.clock_skew_s * 1_000))
    await outbox.confirm(records(event, range(consumer.partitions(topics.SCORES.name)), asked_ms))


def judge_waiting(worker: Worker, late: LateLabels | ScoredReplies) -> None:
    """Judge what waits (labels, or replies without one), now and then. A store that is away is tried again."""

    async def judge() -> None:
        ends = CaughtUp(worker)
        while True:
            await asyncio.sleep(JUDGED_EVERY_S)
            try:
                await late.open(await ends.partitions())
                while await late.judge():
                    pass
            except Exception:
                log.exception("what waits to be judged waits longer", kind=type(late).__name__, count=len(late.waiting))
                await asyncio.sleep(JUDGED_AGAIN_S)

    worker.app.task(judge)


@dataclass(slots=True)
class CaughtUp:
    """Which partitions of the labels are read up to where the log ended when this worker began with them."""

    worker: Worker
    generation: int = -1
    ends: dict[Any, int] = field(default_factory=dict)

    async def partitions(self) -> list[int]:
        """Return their numbers; none while partitions change hands."""
        app, done = self.worker.app, self.worker.done
        consumer, generation = app.consumer, app.consumer_generation_id
        if generation != self.generation:
            self.generation, self.ends = generation, {}
        mine = consumer.held(topics.FEEDBACK.name)
        if fresh := [at for at in mine if at not in self.ends]:
            self.ends |= await consumer.ends(fresh)
        reached = await consumer.reached(mine)
        if not consumer.flow_active or app.consumer_generation_id != generation:
            return []
        scored = {at: done.get(TopicPartition(at.topic, at.partition), 0) for at in mine}
        return [at.partition for at in mine if max(reached[at], scored[at]) >= self.ends[at]]


def watch_lag(worker: Worker, settings: WorkerSettings) -> None:
    """Show the lag and how long rows wait for the lake, and log stalled partitions, now and then."""
    dog = Watchdog(settings.stalled_s)

    async def look() -> None:
        lags = worker.lags()
        dog.show(lags, dog.look(lags, time.monotonic()))
        for topic, oldest_ms in worker.unwritten.items():
            waits_ms = 0 if (since_ms := oldest_ms()) is None else max(0, now_ms() - since_ms)
            metrics.UNWRITTEN.labels(topic).set(waits_ms / 1_000)

    worker.app.timer(interval=settings.lag_every_s)(look)


def renew_account(worker: Worker, kafka: KafkaSettings) -> None:
    """Show the brokers the name and the password that the files have by now, where they come from files."""
    if kafka.security.username_file is None:
        return

    async def renew() -> None:
        account = await asyncio.to_thread(kafka.security.account)
        if account is not None:
            show_account(worker.app, account)

    worker.app.timer(interval=ACCOUNT_S)(renew)
