"""The worker: Faust, which ingests and judges."""

from __future__ import annotations

import asyncio

import structlog

from deploy.config.settings import Config, worker_settings
from deploy.roles.process import stopped_by_signals

log = structlog.get_logger()

RESTART_S = 2.0


def worker(config: Config) -> None:
    """Run Faust until SIGTERM or SIGINT; start it again where it gives up: unacknowledged records come again."""
    from streams.ingest.judgement import by_metric
    from streams.log.availability import Presence
    from streams.scoring.judges import ReplyJudges
    from streams.scoring.scorer import Scorers
    from streams.worker import app

    settings, storage = worker_settings(config), config.kept
    judges = by_metric(Scorers(config.scoring, config.stack.var))
    models = ReplyJudges(config.scoring, config.stack.var)

    async def work() -> None:
        stop = stopped_by_signals()
        while not stop.is_set():
            try:
                await app.run(config.kafka, settings, storage, config.monitor, config.policy, stop, judges, models)
            except (RuntimeError, LookupError) as error:  # a topic may be away for a while
                log.error("worker is started again", error=str(error))
                await asyncio.sleep(RESTART_S)

    with Presence(config.kafka, "worker"):
        asyncio.run(work())
