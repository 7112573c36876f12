"""Which of several controllers looks after an engine: by the log's order, the one that attested first.

Two that loaded and attested side by side would contradict each other. So a controller leaves an engine alone while
another one attests it, and takes it over once that one was silent for `silent_s` although Kafka answered. Who has it is
decided by the records' order and the log's own time, so all controllers agree, whatever their clocks show: of two that
begin at once the first record counts, and one that froze and comes back finds that it has lost the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.settings import ControllerSettings
from streams.events import ReplicaAttested

SILENT_PERIODS = 2  # of attestations; gateways take a replica for stale after three
LATER_S = 0.5  # what a record may take to the log: whoever takes an engine over must not come too early for the others


@dataclass(frozen=True, slots=True)
class EngineKeeper:
    """The controller that looks after an engine."""

    by: str
    at_ms: int  # of its last record, by the log's time
    noted_s: float  # when that was read here


@dataclass(slots=True)
class Standby:
    """One controller's view. `me`: its name, which no other process has; `answering_since_s`: since when Kafka answers,
    by the clock, None while it does not. `note` may be called from any thread."""

    me: str
    silent_s: float
    answering_since_s: Callable[[], float | None]
    clock: Callable[[], float] = time.monotonic
    _keepers: dict[str, EngineKeeper] = field(default_factory=dict)  # by replica

    @classmethod
    def of(cls, me: str, settings: ControllerSettings, answering_since_s: Callable[[], float | None]) -> Standby:
        """Return the view of a controller with these settings."""
        return cls(me, SILENT_PERIODS * settings.attest_every_s, answering_since_s)

    def note(self, attested: ReplicaAttested, at_ms: int) -> None:
        """Take an attestation, in the log's order and with its time there; earlier releases' name no process."""
        known = self._keepers.get(attested.replica)
        if not attested.by:
            return
        if known is None or attested.by == known.by or at_ms - known.at_ms > 1_000 * self.silent_s:
            self._keepers[attested.replica] = EngineKeeper(attested.by, at_ms, self.clock())

    def keeper(self, replica: str) -> str:
        """Return who looks after the replica; empty where none ever did."""
        known = self._keepers.get(replica)
        return known.by if known else ""

    def mine(self, replica: str) -> bool:
        """Return whether this controller may act on the replica."""
        known, since_s = self._keepers.get(replica), self.answering_since_s()
        if known is None or known.by == self.me:
            return True
        return since_s is not None and self.clock() - max(known.noted_s, since_s) > self.silent_s + LATER_S

    @property
    def cut_off(self) -> bool:
        """Return whether Kafka does not answer: routes and other controllers may be further by now."""
        return self.answering_since_s() is None
