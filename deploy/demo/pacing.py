"""Paces the clients of a demo by what the loop is doing, and tells its news as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console

from deploy.demo.clients import Outcome, Population
from deploy.demo.data import Row
from deploy.demo.observer import Observer
from deploy.demo.record import ENDED, Events, Expected
from deploy.demo.shares import Plan
from streams.clock import now_ms
from streams.kinds import AlarmKind, RetrainStatus

FAST = 12.0  # requests a second while nothing is trained: more than the engine can do on two cores
SLOW = 1.0  # while a candidate is trained beside it
MEASURED = 150  # `after` rows for the new version, where there are so many
PATIENCE_S = 1200.0  # without any news, with rows kept back: nothing will come any more


@dataclass(slots=True)
class Story:
    """What happened so far, and when."""

    outcomes: list[Outcome] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    events: Events = field(default_factory=Events)
    problem: str = ""

    def mark(self, name: str, at_ms: int | None = None) -> None:
        self.marks.setdefault(name, at_ms if at_ms is not None else now_ms())


@dataclass(slots=True)
class Director:
    """Paces the clients by what the loop is doing, so that rows are left to measure a new version on.

    It only watches; nothing it does reaches the loop except through the number of requests a second."""

    population: Population
    observer: Observer
    shares: Plan
    story: Story
    console: Console
    expect: Expected
    ended: Callable[[], list[str]] = list  # names of the stack's processes that should run and do not
    taken: int = 0
    total: int = 0
    after_promotion: int = 0
    news_at: float = field(default_factory=time.monotonic)

    def rows(self, rows: list[Row]) -> Iterator[Row]:
        """The rows, one by one; ends early once enough were measured after a promotion."""
        self.total = len(rows)
        for row in rows:
            if self.promoted and self.after_promotion >= MEASURED:
                return
            self.taken += 1
            self.after_promotion += self.promoted
            yield row

    @property
    def promoted(self) -> bool:
        return len({route.champion for route in self.observer.seen.routes}) > 1

    @property
    def training(self) -> bool:
        """A retraining is asked for and has no verdict yet."""
        ended = {result.request_id for result in self.observer.seen.results if result.status in ENDED}
        return any(request.id not in ended for request in self.observer.seen.requests)

    def rate(self) -> float:
        """Requests a second for now."""
        left = self.total - self.taken
        if self.expect == "nothing" or self.promoted or self.canary:
            return FAST
        if left <= self.shares.reserve and self._hoping():
            return 0.0
        return SLOW if self.training else FAST

    async def run(self) -> None:
        """Until cancelled. Ends the traffic and raises RuntimeError when one of the stack's processes has died."""
        told: set[str] = set()
        while True:
            self.population.rate = self.rate()
            if ended := self.ended():
                self.population.stop()
                raise RuntimeError(f"{', '.join(ended)} ended in the midst of the demo; its log says why")
            for name, at_ms, words in self._news():
                if name not in told:
                    told.add(name)
                    self.news_at = time.monotonic()
                    self.story.mark(name, at_ms)
                    self.console.print(f"   [dim]{_clock(at_ms)}[/] {words}")
            await asyncio.sleep(0.2)

    @property
    def canary(self) -> bool:
        """A candidate answers a share of the requests, and needs them."""
        routes = self.observer.seen.routes
        return bool(routes and routes[-1].canary)

    def _hoping(self) -> bool:
        """Whether a new version may still come although the rows are nearly used up."""
        waited = time.monotonic() - self.news_at
        return waited < PATIENCE_S and (self.training or self._won())

    def _won(self) -> bool:
        return any(result.status == RetrainStatus.PROMOTE for result in self.observer.seen.results)

    def _news(self) -> Iterator[tuple[str, int, str]]:
        seen = self.observer.seen
        for alarm in seen.alarms:
            name = "alarm" if alarm.kind == AlarmKind.QUALITY else f"alarm {alarm.id}"
            yield name, alarm.time_ms, f"alarm ({alarm.kind}): {alarm.summary}"
        for request in seen.requests:
            yield "requested", request.time_ms, f"retraining asked for: {request.reason}"
        for result in seen.results:
            if result.status in ENDED:
                words = f"verdict: [bold]{result.status}[/] {result.reason}"
                yield f"verdict {result.request_id}", result.time_ms, words
                if result.status == RetrainStatus.PROMOTE:
                    yield "verdict", result.time_ms, f"candidate {result.candidate} goes on to the rollout"
        for route in seen.routes[1:]:
            if route.canary and route.weight:
                yield "canary", route.time_ms, f"canary: {route.canary} answers {route.weight:.0%} of the requests"
            elif self.promoted and route.champion != seen.routes[0].champion:
                yield "promoted", route.time_ms, f"[bold green]promoted[/]: {route.champion}"


def _clock(at_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at_ms / 1000))
