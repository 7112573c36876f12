"""A worker process for tests: its settings come as JSON on standard input."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import msgspec
import prometheus_client

from streams.ingest.judgement import Judge, by_metric
from streams.scoring.scorer import Scorers
from streams.scoring.settings import ScoringSettings
from streams.worker import app
from tests.streams.support.traffic import Plan


def _path(kind: type, value: object) -> object:
    return Path(str(value)) if kind is Path else value


async def work(plan: Plan, scorer: Judge | None = None) -> None:
    stop = asyncio.Event()
    if plan.mirrored:
        setattr(app, "check_role", lambda *_: None)  # noqa: B010 - it is no name that the module offers
    if plan.metrics_port:
        prometheus_client.start_http_server(plan.metrics_port, addr="127.0.0.1")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    scorer = scorer or by_metric(Scorers(ScoringSettings(metrics=plan.metrics), plan.storage.var))
    await app.run(plan.kafka, plan.settings, plan.storage, plan.monitor, plan.policy, stop, scorer)


def plan() -> Plan:
    """What standard input says."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Plan, dec_hook=_path)


if __name__ == "__main__":
    asyncio.run(work(plan()))
