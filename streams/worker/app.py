"""The Faust worker: agents that take batches, hand them on, and acknowledge them once all that follows is confirmed.

await run(kafka, WorkerSettings(), Storage(), MonitorSettings(), PolicySettings(), stop)
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import importlib
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import faust
import pyarrow as pa
import structlog

from monitor.describe.descriptors import Describer
from monitor.describe.patterns import Forbidden
from monitor.settings import MonitorSettings, PolicySettings
from streams import topics
from streams.clock import now_ms
from streams.events import AlarmRaised
from streams.files import private_folder
from streams.ingest.judged_replies import ScoredReplies
from streams.ingest.judgement import Judge, by_metric
from streams.ingest.late_labels import LateLabels
from streams.ingest.prepare import GIVEN, SERVED
from streams.ingest.score_rows import score_served
from streams.judge.agent import JudgeAgent
from streams.judge.ordering import Ordering
from streams.judge.paused import PausedAliases
from streams.judge.step import Rules
from streams.lake.lake import Lake
from streams.lake.profile_windows import PROFILES
from streams.log.fitness.role import check_role
from streams.log.outbox import Outgoing, RetryingOutbox
from streams.log.read import read, span
from streams.log.rejects import Rejects
from streams.log.settings import KafkaSettings
from streams.log.topic_ids import TopicIds
from streams.objects.opening import Storage
from streams.reports.keys import REPORTS
from streams.reports.reporter import Reporter, missing
from streams.scoring.judges import ReplyJudges
from streams.scoring.scorer import Scorers
from streams.scoring.settings import ScoringSettings
from streams.settings import WorkerSettings
from streams.worker import timers
from streams.worker.agents import IngestLoop, JudgeLoop, Worker
from streams.worker.checks import check, look_at, wait_for_known_topics
from streams.worker.consumer import LEAVING_S, Consumer, never_create_topics
from streams.worker.faust_broker import credentials, urls

log = structlog.get_logger()

EXACT = by_metric(Scorers(ScoringSettings(), Path()))
NOBODY = ReplyJudges(ScoringSettings(), Path())
COLLECTED_AFTER = (50_000, 20, 100)  # objects, and collections of the younger generation
ROOM = 24_000  # of a partition of the scores, as `streams.log.chunks.size` counts: 96 MiB at most
SETTLING_S = 10.0  # for the lake to take what was scored; else the next worker takes it from the log
METADATA_MS = 30_000  # a topic that was deleted and created again is seen within so long; Kafka's own is five minutes
FETCHED_AT_ONCE = 4 * 1_048_576  # bytes of a partition, or one batch of its producer where that is larger


def build(
    kafka: KafkaSettings,
    settings: WorkerSettings,
    storage: Storage,
    monitor: MonitorSettings,
    policy: PolicySettings,
    topic_ids: TopicIds | None = None,
    judges: Judge = EXACT,
    models: ReplyJudges = NOBODY,
) -> Worker:
    """Return the worker; nothing is connected yet. `judges`: judges labels that no gateway could; `models`: score
    replies without a label."""
    topic_ids = topic_ids or TopicIds(kafka)
    app = _app(kafka, settings, storage.var)
    outbox = RetryingOutbox(_sender(app, kafka.prefix), rejects=Rejects(storage.var / "aside"))
    paused = PausedAliases(kafka)
    lag_s = settings.lake_commit_s + settings.commit_s
    reporter = Reporter(storage, settings.report_events, monitor.policy_patterns, lag_s)
    rules = rules_of(settings, storage, monitor, policy)
    ordering = Ordering(round(settings.turn_s * 1_000), settings.patience_s, 2 * ROOM // 3)
    judge = JudgeAgent(
        rules,
        outbox,
        lambda p: span(kafka, topics.STATE, p),
        paused.paused,
        reporter.ask,
        ordering,
        topic_id=topic_ids,
    )
    worker = Worker(app, [], judge, paused, reporter, prefix=kafka.prefix)
    described = dataclasses.replace(
        SERVED,
        describe=Describer(Forbidden(monitor.policy_patterns)),
        score=partial(score_served, asked=models.asked),
    )
    for source in (described, GIVEN):
        IngestLoop(worker, source, kafka, settings, storage, outbox, topic_ids)
    replies, labels = worker.ingests
    wait_s = monitor.late_labels_s
    worker.late_labels = LateLabels(labels.lake, replies.writer, labels.writer, outbox, judges, wait_s)
    labels.taken = worker.late_labels.taken
    if models.aliases:
        _score_replies(worker, models, outbox)
    JudgeLoop(worker, settings)
    timers.judge_waiting(worker, worker.late_labels)
    timers.send_watermarks(worker, settings, outbox)
    timers.write_profiles(worker, settings)
    timers.watch_lag(worker, settings)
    app.on_partitions_revoked.connect(worker.forget, weak=False)
    return worker


def _score_replies(worker: Worker, models: ReplyJudges, outbox: RetryingOutbox) -> None:
    replies, labels = worker.ingests
    scored = ScoredReplies(labels.lake, replies.writer, labels.writer, outbox, models)
    taken = labels.taken

    def given(rows: pa.Table) -> None:
        taken(rows)
        scored.given(rows)

    worker.judged_replies, replies.taken, labels.taken = scored, scored.served, given
    timers.judge_waiting(worker, scored)


def rules_of(settings: WorkerSettings, storage: Storage, monitor: MonitorSettings, policy: PolicySettings) -> Rules:
    """Return what the judge goes by."""
    reports, profiles = storage.page(REPORTS), storage.address(PROFILES)
    return Rules(monitor, policy, reports, profiles, settings.profile_window_s * 1_000)


async def run(
    kafka: KafkaSettings,
    settings: WorkerSettings,
    storage: Storage,
    monitor: MonitorSettings,
    policy: PolicySettings,
    stop: asyncio.Event,
    judges: Judge = EXACT,
    models: ReplyJudges = NOBODY,
    taking: Callable[[bool], None] = lambda taking: None,
) -> None:
    """Run the worker until `stop` is set; it takes nothing while a topic is not the one that the lake knows. Raises
    RuntimeError when Faust gives up, for a supervisor to start it again, ValueError where topics are not as they must
    be. `judges`, `models`: as `build` has them. `taking`: called with whether it takes records now."""
    private_folder(storage.var)  # it may be a new machine, with all else in a bucket
    await asyncio.to_thread(check_role, kafka, "worker", monitor.late_labels_s, settings.app_id)
    await asyncio.to_thread(look_at, Lake.of(storage))
    with closing(TopicIds(kafka)) as topic_ids:
        await wait_for_known_topics(topic_ids, storage, stop)
        if not stop.is_set():
            worker = build(kafka, settings, storage, monitor, policy, topic_ids, judges, models)
            await _run(kafka, worker, stop, taking)


async def _run(kafka: KafkaSettings, worker: Worker, stop: asyncio.Event, taking: Callable[[bool], None]) -> None:
    timers.renew_account(worker, kafka)
    worker.paused.start()
    assigned = asyncio.Event()
    worker.app.on_partitions_assigned.connect(_setter(assigned), weak=False)
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(worker.reporter.run()),
        asyncio.create_task(_after_rebalances(kafka, worker, assigned)),
    ]
    try:
        await worker.app.start()
        log.info("worker started", app_id=worker.app.conf.id, renders_reports=worker.reporter.renders)
        taking(True)
        tasks.append(asyncio.create_task(_freeze_collector(worker)))
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(worker.app.wait_until_stopped())]
        tasks += ends
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        taking(False)
        crashed = worker.app.crash_reason
        await _close(worker, tasks)
    if crashed is not None:
        raise RuntimeError(f"the worker gave up: {crashed!r}") from crashed


async def _freeze_collector(worker: Worker) -> None:
    """Once the first batch was handled: all that is loaded by then stays, so the collector need not look at it again,
    and not after each 700 objects. It took a fifth of all time, for next to no cycles."""
    await worker.begun.wait()
    gc.set_threshold(*COLLECTED_AFTER)  # before the import, which takes seconds: half of one was for the collector
    await asyncio.to_thread(importlib.import_module, "streams.lake.whylogs_format")
    gc.collect()
    gc.freeze()


async def _close(worker: Worker, tasks: list[asyncio.Task[Any]]) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(
            asyncio.gather(*(each() for each in worker.settling), return_exceptions=True), SETTLING_S
        )
    for task in [*tasks, *worker.sending.values()]:
        task.cancel()
    await _leave(worker)
    await asyncio.gather(*(ingest.close() for ingest in worker.ingests))
    await asyncio.to_thread(worker.paused.close)
    await asyncio.gather(*tasks, return_exceptions=True)
    log.info("worker stopped", app_id=worker.app.conf.id)


async def _leave(worker: Worker) -> None:
    """Stop Faust. It is not waited for long: a client that has just lost the brokers' answer waits for a minute and a
    half, and all that must be kept is confirmed."""
    stopping = asyncio.create_task(worker.app.stop())
    ended, _ = await asyncio.wait([stopping], timeout=LEAVING_S)
    for each in ended:
        each.result()
    if not ended:
        log.warning("Kafka's client does not end, and is left behind", app_id=worker.app.conf.id, waited_s=LEAVING_S)


async def _after_rebalances(kafka: KafkaSettings, worker: Worker, assigned: asyncio.Event) -> None:
    """After each rebalance: ends the worker where topics do not fit any more, and asks for missing reports, whose
    worker may have died. Never ends by itself."""
    while await assigned.wait():
        assigned.clear()
        try:
            await asyncio.to_thread(check, kafka)  # there may be more partitions now
        except (LookupError, ValueError) as error:  # one was deleted, or is cut otherwise
            await worker.app.crash(error)
        except Exception:
            log.exception("topics cannot be looked at")
        try:
            lacking = await asyncio.to_thread(_unreported, kafka, worker.reporter.storage)
        except Exception:
            log.exception("missing reports cannot be looked for")
            continue
        for alarm in lacking:
            worker.reporter.ask(alarm)


def _unreported(kafka: KafkaSettings, storage: Storage) -> list[AlarmRaised]:
    alarms = [record.event for record in read(kafka, topics.ALARMS, AlarmRaised)]
    kept = storage.settings.keep_days
    return missing(alarms, storage.objects(), now_ms() - kept * 86_400_000 if kept else 0)


def _setter(event: asyncio.Event) -> Callable[..., Awaitable[None]]:
    async def on(*_: object, **__: object) -> None:
        event.set()

    return on


def _app(kafka: KafkaSettings, settings: WorkerSettings, var: Path) -> Any:
    never_create_topics()
    app = faust.App(
        kafka.physical(settings.app_id),
        broker=urls(kafka),
        broker_credentials=credentials(kafka),
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_rebalance_timeout=settings.rebalance_timeout_s,
        broker_commit_interval=settings.commit_s,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=settings.batch_events,
        consumer_max_fetch_size=FETCHED_AT_ONCE,
        consumer_metadata_max_age_ms=METADATA_MS,
        producer_acks=-1,
        producer_max_request_size=2 * topics.BIG,
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        datadir=str(var / "faust"),
    )
    room = dict.fromkeys((topic.name for topic in topics.TAKEN_IN), settings.batch_events)
    room |= {topics.SCORES.name: ROOM, topics.RESULTS.name: settings.batch_events}
    app.transport.Consumer = partial(Consumer, room=room, prefix=kafka.prefix)
    return app


def _sender(app: Any, prefix: str) -> Callable[[Outgoing], Awaitable[Awaitable[Any]]]:
    async def send(record: Outgoing) -> Awaitable[Any]:
        producer = await app.maybe_start_producer()
        sent: Awaitable[Any] = await producer.send(
            prefix + record.topic.name, record.key, record.value, record.partition, None, record.headers
        )
        return sent

    return send
