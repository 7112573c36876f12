"""The renderer: alarms' reports, where workers lack Evidently. It follows the alarms, and puts pages into the store."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import structlog

from deploy.config.settings import Config
from deploy.roles import health
from deploy.roles.process import stopped_by_signals

if TYPE_CHECKING:
    from streams.reports.renderer import Renderer

log = structlog.get_logger()

LOOK_S = 1.0  # for an alarm whose time has come


def renderer(config: Config) -> None:
    """Render until SIGTERM or SIGINT; a report under way is broken off, and made by the next renderer. Raise
    LookupError where Evidently is not installed."""
    from streams import topics
    from streams.events import AlarmRaised
    from streams.log.availability import Presence
    from streams.log.fitness.role import watch_role
    from streams.log.following import Following
    from streams.reports.renderer import Renderer
    from streams.reports.reporter import Reporter

    worker, stopped = config.worker, threading.Event()
    lag_s = worker.lake_commit_s + worker.commit_s
    reporter = Reporter(config.kept, worker.report_events, config.monitor.policy_patterns, lag_s)
    if not reporter.renders:
        raise LookupError("Evidently is not installed, expected homeostat[reports] where a renderer runs")
    rendering = Renderer(reporter, config.storage.keep_days)
    watch_role(config.kafka, "renderer")
    following = Following(
        config.kafka, topics.ALARMS, AlarmRaised, lambda record: rendering.take(record.event), stopped
    )
    following.start()
    with ExitStack() as held:
        held.callback(following.join)
        held.callback(stopped.set)
        presence = held.enter_context(Presence(config.kafka, "renderer"))
        stored = held.enter_context(health.store_watched(config))
        looks = [health.kafka_lacking(config, presence), stored, health.disk_lacking(config)]
        held.enter_context(health.answering(config, config.stack.renderer_metrics_port, health.first(looks)))
        asyncio.run(_render(rendering))


async def _render(rendering: Renderer) -> None:
    stop = stopped_by_signals()
    while not stop.is_set():
        turn = asyncio.create_task(rendering.turn(stop.is_set))
        ends = asyncio.create_task(stop.wait())
        await asyncio.wait([turn, ends], return_when=asyncio.FIRST_COMPLETED)
        if not turn.done():
            turn.cancel()
        ends.cancel()
        try:
            await turn
        except asyncio.CancelledError:
            return
        except (OSError, ValueError) as error:  # the store may be away for a while
            log.error("reports are looked for again", error=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_S)
