"""Workers of one group that are killed again and again while there is work."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.stack import ports
from tests.bench.tools.scrape import total
from tests.streams.support.residue import taken_in
from tests.streams.support.traffic import Plan, Process

LONGEST_S = 25.0  # from a start to the first event handled
CONSUMED, LAG = "homeostat_events_consumed_total{", "homeostat_consumer_lag_events{"
WAITING = "homeostat_scores_waiting_rows{"


@dataclass(frozen=True, slots=True)
class Blow:
    """One `kill -9`: how many events waited, whether the worker had handled any, and how long until its successor did
    (None: nothing was left for it)."""

    lag: float
    working: bool
    back_s: float | None

    @property
    def struck(self) -> bool:
        """Whether it hit a worker with work in hand."""
        return self.working and self.lag > 0


@dataclass(slots=True)
class Member:
    """A worker, and where its metrics are."""

    process: Process
    port: int

    @property
    def consumed(self) -> float:
        return total(self.port, CONSUMED)

    @property
    def lag(self) -> float:
        """Events that wait for their scores, and scores that wait for their turn."""
        return total(self.port, LAG, 'topic="inference.') + total(self.port, WAITING)


@dataclass(slots=True)
class Crew:
    """One worker, at times two."""

    plan: Plan
    folder: Path
    rng: random.Random
    blows: list[Blow] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)

    def join(self) -> Member:
        """One more worker."""
        number, port = len(self.members), ports.free(1)[0]
        settings = replace(self.plan.settings, lag_every_s=0.1)
        mine = self.plan
        plan = Plan(mine.kafka, settings, mine.storage, mine.monitor, mine.policy, metrics_port=port)
        member = Member(Process(plan, self.folder / f"worker-{number}.log"), port)
        member.process.start()
        self.members.append(member)
        return member

    def leave(self) -> None:
        """The one that came last ends in order."""
        self.members.pop().process.kill(signal.SIGTERM)

    def strike(self, sending: threading.Thread) -> None:
        """Kills any of them at a random moment after it began to work, or after all that is sent was taken in without
        it, and starts it again."""
        victim = self.rng.choice(self.members)
        self._busy(victim, sending)
        time.sleep(self.rng.uniform(0.0, 1.2))
        lag, working = victim.lag, victim.consumed > 0
        victim.process.kill(signal.SIGKILL)
        began = time.monotonic()
        victim.process.start()
        back = self._busy(victim, sending)
        self.blows.append(Blow(lag, working, back - began if back else None))

    def _busy(self, member: Member, sending: threading.Thread) -> float | None:
        """When it had handled an event, on the monotonic clock; None where nothing was left for it."""
        kafka, group = self.plan.kafka, self.plan.settings.app_id
        waited(lambda: member.consumed > 0 or (not sending.is_alive() and taken_in(kafka, group)))
        return time.monotonic() if member.consumed > 0 else None

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        while self.members:
            self.members.pop().process.kill(how)


def waited(holds: Callable[[], bool], most_s: float = LONGEST_S) -> float | None:
    """When it held, on the monotonic clock; None where it never did."""
    deadline = time.monotonic() + most_s
    while not holds():
        if time.monotonic() > deadline:
            return None
        time.sleep(0.03)
    return time.monotonic()
