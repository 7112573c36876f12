"""The worker: Faust, which ingests and judges."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import structlog

from deploy.config.settings import Config
from deploy.roles import health
from deploy.roles.process import stopped_by_signals

log = structlog.get_logger()

RESTART_S = 2.0


def worker(config: Config) -> None:
    """Run Faust until SIGTERM or SIGINT; start it again where it gives up: unacknowledged records come again."""
    from kafka.errors import KafkaError

    from streams.ingest.judgement import by_metric
    from streams.log.availability import Presence
    from streams.scoring.judges import ReplyJudges
    from streams.scoring.scorer import Scorers
    from streams.worker import app

    settings, storage, taking = config.worker, config.kept, threading.Event()
    judges = by_metric(Scorers(config.scoring, config.stack.var))
    models = ReplyJudges(config.scoring, config.stack.var)

    def note(takes: bool) -> None:
        (taking.set if takes else taking.clear)()

    async def work() -> None:
        stop = stopped_by_signals()
        while not stop.is_set():
            try:
                await app.run(
                    config.kafka, settings, storage, config.monitor, config.policy, stop, judges, models, note
                )
            except (RuntimeError, LookupError, OSError, KafkaError) as error:  # what it needs may be away for a while
                if not stop.is_set():
                    log.error("worker is started again", error=str(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RESTART_S)

    with Presence(config.kafka, "worker") as presence, health.store_watched(config) as stored:
        begun = lambda: "" if taking.is_set() else "no partition is taken yet"  # noqa: E731
        looks = [health.kafka_lacking(config, presence), begun, stored, health.disk_lacking(config)]
        with health.answering(config, config.stack.worker_metrics_port, health.first(looks)):
            asyncio.run(work())
