"""One replica's attestations in the log: at once when something changes, else now and then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import structlog

from serving.append import Append
from serving.settings import Replica
from streams.events import ReplicaAttested, RouteWritten
from streams.proof import Probe, ProofShown
from streams.topics import ATTESTATIONS

log = structlog.get_logger()

PATIENCE_S = 1.0  # the log may be away; the engine is looked after all the same
LEAVE_S = 5.0  # for the last attestation


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """The part of an attestation that changes."""

    healthy: bool
    versions: dict[str, str]
    generations: dict[str, int]
    probes: dict[str, Probe]
    proofs: dict[str, ProofShown]
    gone: bool = False

    @classmethod
    def of(
        cls,
        routes: Mapping[str, RouteWritten],
        versions: dict[str, str],
        probes: dict[str, Probe],
        proofs: dict[str, ProofShown],
        *,
        healthy: bool,
    ) -> ReplicaState:
        """Return the state of a replica that has taken in these routes."""
        generations = {alias: route.generation for alias, route in routes.items()}
        return cls(healthy, dict(versions), generations, probes, proofs)

    def attested(self, replica: Replica, base_model: str, time_ms: int) -> ReplicaAttested:
        """Return the attestation of this state."""
        return ReplicaAttested(
            replica=replica.name,
            url=replica.url,
            time_ms=time_ms,
            healthy=self.healthy,
            base_model=base_model,
            versions=self.versions,
            generations=self.generations,
            probes=self.probes,
            proofs=self.proofs,
            gone=self.gone,
        )


GONE = ReplicaState(False, {}, {}, {}, {}, gone=True)


def unsealed(attestation: ReplicaAttested) -> ReplicaAttested:
    """Return it as it is: an engine on this machine signs nothing."""
    return attestation


@dataclass(slots=True)
class Attester:
    """The attester of one replica. The last record holds the latest state: one record after the other, the newest state
    in each. `append` is called outside the event loop, never twice at a time; `seal` signs what it gets.

    `latest`: the newest state, in the log or not, and `confirmed_s` when it last was looked at."""

    replica: Replica
    base_model: str
    append: Append
    every_s: float
    by: str = ""  # the process that attests
    seal: Callable[[ReplicaAttested], ReplicaAttested] = unsealed
    latest: ReplicaState | None = None
    confirmed_s: float = float("-inf")
    _sent: ReplicaState | None = None
    _sent_at: float = float("-inf")
    _wanted: ReplicaState | None = None
    _sending: asyncio.Task[None] | None = field(default=None)

    @property
    def versions(self) -> set[str]:
        """Return those that clients may be sent here for, by the last attestation that some gateway may have."""
        return {version for state in (self._sent, self.latest) if state is not None for version in state.versions}

    async def attest(self, state: ReplicaState, now_s: float) -> None:
        """Send the state where it is new or due. Returns when the log has it, or after a moment where the log is away;
        it is then sent as soon as possible."""
        self._wanted = self.latest = state
        self.confirmed_s = now_s
        if self._sending is None:
            if state == self._sent and now_s - self._sent_at < self.every_s:
                return
            self._sending = asyncio.create_task(self._send(now_s))
        await asyncio.wait([self._sending], timeout=PATIENCE_S)

    async def close(self) -> None:
        """Wait a moment for what is under way."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=PATIENCE_S)

    async def leave(self, now_s: float) -> None:
        """Send that the replica has ended, and give the log a little longer to take it."""
        await self.attest(GONE, now_s)
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=LEAVE_S)

    async def _send(self, now_s: float) -> None:
        try:
            while (state := self._wanted) is not None and (
                state != self._sent or now_s - self._sent_at >= self.every_s
            ):
                await asyncio.to_thread(self._append, state)
                self._sent, self._sent_at = state, now_s
        except Exception as error:  # the broker may do anything; the next attestation is the next try
            self._sent = None  # it may have it or not
            log.warning("attestation is not in the log", replica=self.replica.name, error=repr(error))
        finally:
            self._sending = None

    def _append(self, state: ReplicaState) -> None:
        at_ns = time.time_ns()
        event = state.attested(self.replica, self.base_model, at_ns // 1_000_000)
        event = self.seal(msgspec.structs.replace(event, by=self.by))
        self.append(ATTESTATIONS, event, id=f"{self.replica.name}/{at_ns}", time_ms=event.time_ms)
