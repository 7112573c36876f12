"""The pace of a demo's clients, by the state of the loop, and its news on the terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console

from deploy.demo.clients import Clients, RequestOutcome
from deploy.demo.observer import Observer
from deploy.demo.record import EventCounts, Expected
from deploy.demo.shares import RowShares
from deploy.operator.rows import LabelledRow
from deploy.show.times import clock
from retrain.claims import ENDED
from streams.clock import now_ms
from streams.kinds import AlarmKind, RetrainStatus

FAST = 12.0  # requests a second while nothing is trained: more than the engine can do on two cores
SLOW = 1.0  # while a candidate is trained on the same machine
MEASURED = 150  # `after` rows for the new version, where there are so many
PATIENCE_S = 1200.0  # without any news, with rows kept back: nothing will come any more


@dataclass(slots=True)
class DemoNotes:
    """The notes on a run so far: outcomes, and the times of its events."""

    outcomes: list[RequestOutcome] = field(default_factory=list)
    marks: dict[str, int] = field(default_factory=dict)
    events: EventCounts = field(default_factory=EventCounts)
    problem: str = ""

    def mark(self, name: str, at_ms: int | None = None) -> None:
        """Note the time of an event, by default now; its first time counts."""
        self.marks.setdefault(name, at_ms if at_ms is not None else now_ms())


@dataclass(slots=True)
class Pacer:
    """The pace of the clients, set by the state of the loop, so that rows are left to measure a new version on.

    It reaches the loop through nothing but the number of requests a second."""

    clients: Clients
    observer: Observer
    shares: RowShares
    notes: DemoNotes
    console: Console
    expect: Expected
    ended: Callable[[], list[str]] = list  # names of the stack's processes that should run and do not
    taken: int = 0
    total: int = 0
    after_promotion: int = 0
    news_at: float = field(default_factory=time.monotonic)

    def rows(self, rows: list[LabelledRow]) -> Iterator[LabelledRow]:
        """Yield the rows one by one; end early once enough were measured after a promotion."""
        self.total = len(rows)
        for row in rows:
            if self.promoted and self.after_promotion >= MEASURED:
                return
            self.taken += 1
            self.after_promotion += self.promoted
            yield row

    @property
    def promoted(self) -> bool:
        """A second version is champion, or was."""
        return len({route.champion for route in self.observer.seen.routes}) > 1

    @property
    def training(self) -> bool:
        """A retraining was requested and has no verdict yet."""
        ended = {result.request_id for result in self.observer.seen.results if result.status in ENDED}
        return any(request.id not in ended for request in self.observer.seen.requests)

    def rate(self) -> float:
        """Return the number of requests a second for now."""
        left = self.total - self.taken
        if self.expect == "nothing" or self.promoted or self.canary:
            return FAST
        if left <= self.shares.reserve and self._hoping():
            return 0.0
        return SLOW if self.training else FAST

    async def run(self) -> None:
        """Set the pace and print the news until cancelled. End the traffic and raise RuntimeError when a process of the
        stack has died."""
        printed: set[str] = set()
        while True:
            self.clients.rate = self.rate()
            if ended := self.ended():
                self.clients.stop()
                raise RuntimeError(f"{', '.join(ended)} ended in the midst of the demo; its log says why")
            for name, at_ms, words in self._news():
                if name not in printed:
                    printed.add(name)
                    self.news_at = time.monotonic()
                    self.notes.mark(name, at_ms)
                    self.console.print(f"   [dim]{clock(at_ms)}[/] {words}")
            await asyncio.sleep(0.2)

    @property
    def canary(self) -> bool:
        """A candidate answers a share of the requests, and needs them."""
        routes = self.observer.seen.routes
        return bool(routes and routes[-1].canary)

    def _hoping(self) -> bool:
        """Check that a new version may still come although the rows are nearly used up."""
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
            yield "requested", request.time_ms, f"retraining requested: {request.reason}"
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
