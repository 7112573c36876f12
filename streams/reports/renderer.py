"""The renderer's loop: an alarm whose page is not in the store is one to render. Nothing else says so, and nothing has
to be acknowledged: where a renderer was killed, the next one finds the same alarms without a page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from streams import metrics
from streams.clock import now_ms
from streams.events import AlarmRaised
from streams.reports.reporter import LOOK_S, Reporter, missing

log = structlog.get_logger()

AGAIN_S = (60.0, 3_600.0)  # first and longest pause after an alarm whose report failed


@dataclass(slots=True)
class Awaited:
    """An alarm without a page, as far as it is known."""

    alarm: AlarmRaised
    due_s: float  # on the clock of this process
    pause_s: float = AGAIN_S[0]


@dataclass(slots=True)
class Renderer:
    """Renders the pages of alarms, the newest first, one at a time. `keep_days`: older alarms have no rows any more; 0:
    all are kept."""

    reporter: Reporter
    keep_days: int = 0
    clock: Callable[[], float] = time.monotonic
    awaited: dict[str, Awaited] = field(default_factory=dict)

    def take(self, alarm: AlarmRaised) -> None:
        """Take an alarm, to await its page: its last rows are in the lake a little later. Another thread calls it."""
        if alarm.report is not None:
            self.awaited.setdefault(alarm.id, Awaited(alarm, self.clock() + self.reporter.lake_lag_s))

    async def turn(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Render what is due, until `stopped`. A report that fails comes again after a pause that grows."""
        due = {id: each for id, each in list(self.awaited.items()) if each.due_s <= self.clock()}
        if not due:
            return
        since_ms = now_ms() - self.keep_days * 86_400_000 if self.keep_days else 0
        store = self.reporter.storage.objects(LOOK_S)
        lacking = await asyncio.to_thread(missing, [each.alarm for each in due.values()], store, since_ms, len(due))
        for id in due.keys() - {alarm.id for alarm in lacking}:
            del self.awaited[id]
        for alarm in sorted(lacking, key=lambda each: each.time_ms, reverse=True):
            if stopped():
                return
            await self._render(due[alarm.id])

    async def _render(self, awaited: Awaited) -> None:
        done = await self.reporter.rendered(awaited.alarm)
        metrics.REPORTS.labels("rendered" if done else "failed").inc()
        if done:
            del self.awaited[awaited.alarm.id]
        else:
            awaited.due_s = self.clock() + awaited.pause_s
            awaited.pause_s = min(2 * awaited.pause_s, AGAIN_S[1])
