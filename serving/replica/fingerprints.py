"""What one engine says to the probe under each version's name, and whether that is the version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from serving.replica.probe import Measured, Vote, distance, elected, others, own, remembered
from serving.routes.attestations import fresh
from serving.routes.routing import RouteTable
from serving.routes.slots import WantedVersion
from serving.settings import ControllerSettings
from streams.clock import now_ms
from streams.events import Probe

log = structlog.get_logger()


class Probed(Protocol):
    """The part of `serving.replica.engine` that is needed here. Any exception means: not now."""

    async def probe(self, name: str) -> Measured: ...


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a version is not what it should be: how far from whose fingerprint."""

    distance: float
    by: str


@dataclass(slots=True)
class Fingerprints:
    """Of one engine; what was measured counts until the engine is gone or the version is loaded anew."""

    settings: ControllerSettings
    replica: str
    table: Callable[[], RouteTable]
    _known: dict[str, Probe] = field(default_factory=dict)  # version -> the longest-standing, and what differs from it
    _taken: dict[str, float] = field(default_factory=dict)  # version -> when last, from the engine that runs now
    _lives: Counter[str] = field(default_factory=Counter)  # version -> how often it was forgotten
    _base: Measured | None = None
    _idle: set[str] = field(default_factory=set)  # versions that change nothing: said once

    async def take(self, engine: Probed, version: str, now_s: float) -> None:
        """Asks the engine; raises what it raises. An answer that comes after the version was forgotten is void."""
        life = self._lives[version]
        seen = await engine.probe(version)
        if life != self._lives[version]:
            return
        known = self._known.get(version) or self._attested(version)
        probe = remembered(known, seen, now_ms(), self.settings.probe_tolerance)
        if known is not None and probe.since_ms != known.since_ms:
            log.warning(
                "another engine, another fingerprint", replica=self.replica, version=version, engine=seen.engine
            )
        self._known[version], self._taken[version] = probe, now_s
        self._compare(version, seen.logprobs)

    async def take_base(self, engine: Probed, name: str) -> None:
        """Asks the base model, once an engine's life; says which versions answer as it does."""
        self._base = await engine.probe(name)
        for version in sorted(self._taken):
            self._compare(version, self._known[version].logprobs)

    def taken(self, version: str) -> bool:
        """Whether the engine that runs now was asked."""
        return version in self._taken

    def doubt(self, each: WantedVersion) -> Doubt | None:
        """None where a fingerprint was taken and the replicas' vote is for it."""
        if each.version not in self._taken:
            return Doubt(float("inf"), "nobody asked yet")
        table, probe = self.table(), self._known[each.version]
        replicas = fresh(self.settings, list(table.attestations.values()), now_ms())
        votes = own(probe, self.replica)
        right = elected([*votes, *others(replicas, self.replica, each.version, each.digest)], self._tolerance)
        apart = distance(votes[0].logprobs, right.logprobs)
        if apart > self._tolerance:
            return Doubt(apart, right.by)
        self._settle(each.version, votes[0])
        return None

    def due(self, versions: Iterable[str], now_s: float) -> str | None:
        """The version that is longest to be asked again, where one is."""
        known = sorted((self._taken[each], each) for each in versions if each in self._taken)
        return known[0][1] if known and now_s - known[0][0] >= self.settings.probe_every_s else None

    def later(self, version: str, now_s: float) -> None:
        """The engine had no answer: what it said before counts until it has."""
        if version in self._taken:
            self._taken[version] = now_s

    def wants_base(self) -> bool:
        """Whether there is something to compare with the base model, which was not asked yet."""
        return self._base is None and bool(self._taken)

    def forget(self, version: str) -> None:
        """The version was unloaded: it has to be asked again. What it said stays known."""
        self._taken.pop(version, None)
        self._lives[version] += 1

    def forget_all(self) -> None:
        """The engine is gone."""
        for version in list(self._taken):
            self.forget(version)
        self._base = None

    def told(self, versions: Iterable[str]) -> dict[str, Probe]:
        """What is known of these versions, for the others and for our own next life."""
        known = {each: self._known.get(each) or self._attested(each) for each in versions}
        return {version: probe for version, probe in known.items() if probe is not None}

    @property
    def _tolerance(self) -> float:
        return self.settings.probe_tolerance

    def _attested(self, version: str) -> Probe | None:
        """What this replica attested before its reconciler was started anew."""
        said = self.table().attestations.get(self.replica)
        return said.probes.get(version) if said else None

    def _settle(self, version: str, vote: Vote) -> None:
        """What differs from before is right where the vote says so."""
        probe = self._known[version]
        if probe.differing:
            self._known[version] = Probe(logprobs=dict(vote.logprobs), since_ms=now_ms(), engine=probe.engine)

    def _compare(self, version: str, logprobs: dict[str, float]) -> None:
        if self._base is not None and self._base.logprobs == logprobs and version not in self._idle:
            self._idle.add(version)
            log.warning("adapter without effect: it answers as the base model", replica=self.replica, version=version)
