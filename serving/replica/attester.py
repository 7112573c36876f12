"""What one replica tells the log of itself: at once when it changes, else now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from serving.settings import Replica
from streams.events import Event, Probe, ReplicaAttested, RouteWritten
from streams.topics import ATTESTATIONS, Topic

log = structlog.get_logger()

PATIENCE_S = 1.0  # the log may be away; the engine is looked after all the same


class Append(Protocol):
    """`streams.log.append.Writer.append`; called outside the event loop, never twice at a time."""

    def __call__(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> object: ...


@dataclass(frozen=True, slots=True)
class State:
    """What there is to tell."""

    healthy: bool
    versions: dict[str, str]
    generations: dict[str, int]
    probes: dict[str, Probe]

    @classmethod
    def of(
        cls, routes: Mapping[str, RouteWritten], versions: dict[str, str], probes: dict[str, Probe], *, healthy: bool
    ) -> State:
        generations = {alias: route.generation for alias, route in routes.items()}
        return cls(healthy, dict(versions), generations, probes)


@dataclass(slots=True)
class Attester:
    """Of one replica. What is told last is true last: one record after the other, the newest state in each."""

    replica: Replica
    base_model: str
    append: Append
    every_s: float
    _said: State | None = None
    _said_at: float = float("-inf")
    _wanted: State | None = None
    _sending: asyncio.Task[None] | None = field(default=None)

    @property
    def versions(self) -> set[str]:
        """Those that clients may be sent here for, by our last word."""
        return set(self._said.versions) if self._said else set()

    async def say(self, state: State, now_s: float) -> None:
        """Returns when the log has it, or after a moment where the log is away; it is then sent as soon as may be."""
        self._wanted = state
        if self._sending is None:
            if state == self._said and now_s - self._said_at < self.every_s:
                return
            self._sending = asyncio.create_task(self._send(now_s))
        await asyncio.wait([self._sending], timeout=PATIENCE_S)

    async def close(self) -> None:
        """Waits a moment for what is under way."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=PATIENCE_S)

    async def _send(self, now_s: float) -> None:
        try:
            while (state := self._wanted) is not None and (
                state != self._said or now_s - self._said_at >= self.every_s
            ):
                await asyncio.to_thread(self._append, state)
                self._said, self._said_at = state, now_s
        except Exception as error:  # the broker may do anything; the next word is the next try
            self._said = None  # it may have it or not
            log.warning("attestation is not in the log", replica=self.replica.name, error=repr(error))
        finally:
            self._sending = None

    def _append(self, state: State) -> None:
        at_ns = time.time_ns()
        event = ReplicaAttested(
            replica=self.replica.name,
            url=self.replica.url,
            time_ms=at_ns // 1_000_000,
            healthy=state.healthy,
            base_model=self.base_model,
            versions=state.versions,
            generations=state.generations,
            probes=state.probes,
        )
        self.append(ATTESTATIONS, event, id=f"{self.replica.name}/{at_ns}", time_ms=event.time_ms)
