"""The Faust worker: agents that take batches, hand them on, and acknowledge them once all that follows is confirmed.

await run(kafka, WorkerSettings(), MonitorSettings(), PolicySettings(), stop)
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import faust
import prometheus_client
import structlog

from monitor.settings import MonitorSettings, PolicySettings
from streams import metrics, topics
from streams.batch import GIVEN, SERVED, Source
from streams.brokers import credentials, urls
from streams.evidence import Reporter
from streams.ingest import Ingest
from streams.judge import Rules
from streams.judging import Judging
from streams.lag import Measured, Place, Watchdog, tell
from streams.log import KafkaSettings, Raw, partition_count, span
from streams.order import PATIENCE_S, ahead
from streams.outbox import LONGEST_WAIT_S, Insistent, Outgoing
from streams.pauses import Pauses
from streams.settings import WorkerSettings

log = structlog.get_logger()

JUDGED_AT_ONCE = 50  # records, of up to `batch_events` rows each


@dataclass(slots=True)
class Worker:
    """The app and what its agents share; made by `build`, used by `run`."""

    app: Any
    ingests: list[Ingest[Any]]
    judging: Judging
    pauses: Pauses
    reporter: Reporter
    done: dict[Place, int] = field(default_factory=dict)  # the offset handled next
    handled_ms: dict[Place, int] = field(default_factory=dict)  # the log's time of the newest record handled


def build_app(kafka: KafkaSettings, settings: WorkerSettings, monitor: MonitorSettings, policy: PolicySettings) -> Any:
    """The Faust app alone, for those who run it themselves: `await app.start()` in a running loop."""
    return build(kafka, settings, monitor, policy).app


def build(kafka: KafkaSettings, settings: WorkerSettings, monitor: MonitorSettings, policy: PolicySettings) -> Worker:
    """The worker; nothing is connected yet."""
    app = _app(kafka, settings)
    outbox = Insistent(_sender(app))
    pauses = Pauses(kafka)
    reporter = Reporter(settings.lake, settings.report_events)
    rules = Rules(monitor, policy, settings.reports, settings.profiles, settings.profile_window_s * 1_000)
    judging = Judging(rules, outbox, lambda p: span(kafka, topics.STATE, p), pauses.paused, reporter.ask)
    worker = Worker(app, [], judging, pauses, reporter)
    for source in (SERVED, GIVEN):
        worker.ingests.append(_ingest(worker, source, kafka, settings, outbox))
    _judge(worker, settings)
    _watch(worker, settings)
    app.on_partitions_revoked.connect(_forgetter(judging), weak=False)
    return worker


async def run(
    kafka: KafkaSettings,
    settings: WorkerSettings,
    monitor: MonitorSettings,
    policy: PolicySettings,
    stop: asyncio.Event,
) -> None:
    """Works until `stop` is set. Raises RuntimeError when Faust gives up, for a supervisor to start it again."""
    await asyncio.to_thread(check, kafka)
    async with _serving_metrics(settings):
        worker = build(kafka, settings, monitor, policy)
        await _run(worker, stop)


def check(kafka: KafkaSettings) -> None:
    """Raises LookupError for a missing topic, ValueError where the judge's two sources are cut differently."""
    counts = {topic.name: partition_count(kafka, topic) for topic in topics.TOPICS}
    scores, results = counts[topics.SCORES.name], counts[topics.RESULTS.name]
    if scores != results:
        raise ValueError(
            f"{topics.SCORES.name} has {scores} partitions and {topics.RESULTS.name} {results}, expected as many: "
            "the judge of an alias reads both"
        )


async def _run(worker: Worker, stop: asyncio.Event) -> None:
    worker.pauses.start()
    reports = asyncio.create_task(worker.reporter.run())
    await worker.app.start()
    warm = asyncio.create_task(asyncio.to_thread(importlib.import_module, "monitor.profile"))  # takes seconds
    log.info("worker started", app_id=worker.app.conf.id)
    waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(worker.app.wait_until_stopped())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in [*waiting, reports]:
            task.cancel()
        await asyncio.gather(warm, return_exceptions=True)
        crashed = worker.app.crash_reason
        await worker.app.stop()
        await asyncio.gather(*(ingest.close() for ingest in worker.ingests))
        await asyncio.to_thread(worker.pauses.close)
        await asyncio.gather(*waiting, reports, return_exceptions=True)
    log.info("worker stopped", app_id=worker.app.conf.id)
    if crashed is not None:
        raise RuntimeError(f"the worker gave up: {crashed!r}") from crashed


def _app(kafka: KafkaSettings, settings: WorkerSettings) -> Any:
    return faust.App(
        settings.app_id,
        broker=urls(kafka),
        broker_credentials=credentials(kafka),
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_rebalance_timeout=settings.rebalance_timeout_s,
        broker_commit_interval=settings.commit_s,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=topics.BIG,
        producer_acks=-1,
        producer_max_request_size=2 * topics.BIG,
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        datadir=str(settings.lake.parent / "faust"),
    )


def _sender(app: Any) -> Callable[[Outgoing], Awaitable[Awaitable[Any]]]:
    async def send(record: Outgoing) -> Awaitable[Any]:
        producer = await app.maybe_start_producer()
        sent: Awaitable[Any] = await producer.send(
            record.topic.name, record.key, record.value, record.partition, None, record.headers
        )
        return sent

    return send


def _ingest(
    worker: Worker, source: Source[Any], kafka: KafkaSettings, settings: WorkerSettings, outbox: Insistent
) -> Ingest[Any]:
    def tail(partition: int, first: int, end: int) -> Sequence[Raw]:
        return span(kafka, source.topic, partition, first, end) if first < end else []

    ingest = Ingest(source, settings, outbox, tail)

    async def take(mine: list[Any]) -> None:
        records = [_raw(event) for event in mine]
        if source is GIVEN:
            await _in_turn(worker, records)
        await ingest.take(records)

    async def agent(stream: Any) -> None:
        async for events in stream.noack_take(settings.batch_events, within=settings.within_s):
            await _handle(worker, source.topic.name, events, take)

    _agent(worker.app, f"ingest-{source.name}", [source.topic], agent)
    return ingest


def _judge(worker: Worker, settings: WorkerSettings) -> None:
    async def judge(mine: list[Any]) -> None:
        await worker.judging.take([(event.message.topic, _raw(event)) for event in mine])

    async def agent(stream: Any) -> None:
        async for events in stream.noack_take(JUDGED_AT_ONCE, within=settings.within_s):
            await _handle(worker, topics.SCORES.name, events, judge)

    _agent(worker.app, "judge", [topics.SCORES, topics.RESULTS], agent)


def _agent(app: Any, name: str, sources: list[topics.Topic], work: Callable[[Any], Awaitable[None]]) -> None:
    channel = app.topic(*(topic.name for topic in sources), allow_empty=True)
    app.agent(channel, name=name, concurrency=1)(work)


async def _handle(
    worker: Worker, name: str, events: Sequence[Any], take: Callable[[list[Any]], Awaitable[None]]
) -> None:
    """One batch, tried until it is done: skipping it would lose it, for later offsets would be acknowledged."""
    began, wait_s = time.monotonic(), 0.5
    while mine := [event for event in events if event.message.tp in worker.app.consumer.assignment()]:
        try:
            await take(mine)
            break
        except Exception:
            metrics.RETRIES.labels(name).inc()
            log.exception("batch failed, will be tried again", topic=name, events=len(mine), wait_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
    for event in mine:
        event.ack()
        place = Place(event.message.topic, event.message.partition)
        worker.done[place] = event.message.offset + 1
        worker.handled_ms[place] = round(event.message.timestamp * 1_000)
    metrics.BATCH_SECONDS.labels(name).observe(time.monotonic() - began)


async def _in_turn(worker: Worker, labels: Sequence[Raw]) -> None:
    """Waits a while for the replies that the labels are about."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        behind = {each.place.partition for each in _measured(worker, topics.INFERENCE.name) if each.lag}
        times = {at.partition: ms for at, ms in worker.handled_ms.items() if at.topic == topics.INFERENCE.name}
        if not ahead(labels, times, behind):
            return
        await asyncio.sleep(0.05)


def _raw(event: Any) -> Raw:
    message = event.message
    return Raw(message.partition, message.offset, round(message.timestamp * 1_000), message.key, message.value)


def _forgetter(judging: Judging) -> Callable[..., Awaitable[None]]:
    async def forget(*_: object, **__: object) -> None:
        judging.forget()

    return forget


def _watch(worker: Worker, settings: WorkerSettings) -> None:
    dog = Watchdog(settings.stalled_s)

    async def watch() -> None:
        measured = _measured(worker)
        tell(measured, dog.look(measured, time.monotonic()))

    worker.app.timer(interval=settings.lag_every_s)(watch)


def _measured(worker: Worker, topic: str | None = None) -> list[Measured]:
    """How the partitions held stand, where their end is known: after the first fetch."""
    consumer = worker.app.consumer
    found = []
    for at in consumer.assignment():
        if topic is None or at.topic == topic:
            place, end = Place(at.topic, at.partition), consumer.highwater(at)
            done = worker.done.get(place) or consumer._committed_offset.get(at) or 0
            found += [Measured(place, end, done)] if end is not None else []
    return found


@asynccontextmanager
async def _serving_metrics(settings: WorkerSettings) -> AsyncIterator[None]:
    if settings.metrics_port is None:
        yield
        return
    server, thread = prometheus_client.start_http_server(settings.metrics_port)
    try:
        yield
    finally:
        server.shutdown()
        thread.join(timeout=5)
