"""The age of each replica's attestation, by this machine's clock: those of other machines may be wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from streams.clock import now_ms
from streams.events import ReplicaAttested

LOOK_S = 0.5  # an age need not be known better
NONE_STALE: frozenset[str] = frozenset()


@dataclass(slots=True)
class Arrivals:
    """The time when each replica's attestation arrived. One that came live has no age yet; one that was read of the
    past is as old as its own time. Replaced as a whole by one thread, read by others."""

    clock: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = now_ms
    _seen: Mapping[str, tuple[int, float]] = field(default_factory=dict)  # its own time, and when it arrived

    def note(self, attestations: Iterable[ReplicaAttested], *, live: bool) -> None:
        """Take the newest of each replica."""
        self._seen = {each.replica: (each.time_ms, self._at(each, live)) for each in attestations}

    def before(self, then_s: float) -> frozenset[str]:
        """Return the replicas whose last attestation arrived before then."""
        return frozenset(replica for replica, (_, at_s) in self._seen.items() if at_s < then_s)

    def _at(self, attestation: ReplicaAttested, live: bool) -> float:
        known = self._seen.get(attestation.replica)
        if known is not None and known[0] == attestation.time_ms:
            return known[1]
        age_s = 0.0 if live else max(self.wall_ms() - attestation.time_ms, 0) / 1_000
        return self.clock() - age_s


@dataclass(slots=True)
class Staleness:
    """The replicas that no longer attest. None is stale while Kafka does not answer, nor just after it does again: an
    attestation's age counts only where a new one could have arrived."""

    arrivals: Arrivals
    answering_since: Callable[[], float | None]  # None: it does not answer
    after_s: float
    _stale: frozenset[str] = NONE_STALE
    _looked_at: float = float("-inf")

    def __call__(self) -> frozenset[str]:
        now = self.arrivals.clock()
        if now - self._looked_at >= LOOK_S:
            self._looked_at, self._stale = now, self._found(now)
        return self._stale

    def _found(self, now: float) -> frozenset[str]:
        since = self.answering_since()
        if since is None or now - since < self.after_s:
            return NONE_STALE
        return self.arrivals.before(now - self.after_s)
