"""One engine's fingerprints: what it answers to the probe under each version's name, and whether that is right.

Where the adapter came with a proof of effect, that alone says whether; else the replicas' fingerprints vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from serving.replica.probe import ProbeReading, Vote, distance, elected, others, own, remembered
from serving.replica.proofs import Proofs
from serving.routes.attestations import fresh
from serving.routes.routing import RouteTable
from serving.routes.slots import WantedVersion
from serving.settings import ControllerSettings
from streams.clock import now_ms
from streams.proof import Probe, Proof

log = structlog.get_logger()


class Probed(Protocol):
    """The probe and the proof of `serving.replica.engine.VllmAdmin`. Any exception means: not now."""

    async def probe(self, name: str) -> ProbeReading:
        """Return the fingerprint of what answers under the name."""

    async def prove(self, name: str, proof: Proof) -> float:
        """Return how far the answers under the name are from those that the proof expects, in nats."""


@dataclass(slots=True)
class Fingerprints:
    """The fingerprints of one engine; each counts until the engine is gone or the version is loaded again."""

    settings: ControllerSettings
    replica: str
    table: Callable[[], RouteTable]
    proofs: Proofs = field(init=False)
    _known: dict[str, Probe] = field(default_factory=dict)  # version -> the oldest that holds, and what differs from it
    _taken: dict[str, float] = field(default_factory=dict)  # version -> when last, from the engine that runs now
    _lives: Counter[str] = field(default_factory=Counter)  # version -> how often it was forgotten
    _base: ProbeReading | None = None
    _idle: set[str] = field(default_factory=set)  # versions that change nothing: logged once

    def __post_init__(self) -> None:
        self.proofs = Proofs(self.replica)

    async def take(self, engine: Probed, version: str, now_s: float) -> None:
        """Probe the engine and ask for the version's proof; raise what it raises. An answer that comes after the
        version was forgotten is void."""
        life = self._lives[version]
        seen = await engine.probe(version)
        apart = await self._apart(engine, version)
        if life != self._lives[version]:
            return
        if apart is not None:
            self.proofs.note(version, apart, now_ms())
        known = self._known.get(version) or self._attested(version)
        probe = remembered(known, seen, now_ms(), self.settings.probe_tolerance)
        if known is not None and probe.since_ms != known.since_ms:
            log.warning(
                "another engine, another fingerprint", replica=self.replica, version=version, engine=seen.engine
            )
        self._known[version], self._taken[version] = probe, now_s
        self._compare(version, seen.logprobs)

    async def take_base(self, engine: Probed, name: str) -> None:
        """Probe the base model, once an engine's life; log which versions answer as it does."""
        self._base = await engine.probe(name)
        for version in sorted(self._taken):
            self._compare(version, self._known[version].logprobs)

    def taken(self, version: str) -> bool:
        """Return whether the engine that runs now was probed."""
        return version in self._taken

    def doubt(self, each: WantedVersion) -> str:
        """Return why the version may be another than it should be; empty where it was proven, or where it has no proof
        and the replicas' vote is for its fingerprint."""
        if each.version not in self._taken:
            return "the engine was not probed yet"
        refusal = self.proofs.refusal(each.version)
        if refusal and self.settings.proof_required:
            return refusal
        table, probe = self.table(), self._known[each.version]
        if self.proofs.asked(each.version) is not None and not refusal:
            self._accept(each.version, own(probe, self.replica)[0])
            return ""
        replicas = fresh(self.settings, list(table.attestations.values()), now_ms())
        votes = own(probe, self.replica)
        right = elected([*votes, *others(replicas, self.replica, each.version, each.digest)], self._tolerance)
        apart = distance(votes[0].logprobs, right.logprobs)
        if apart > self._tolerance:
            return (
                f"the engine's log-probabilities differ from those of {right.by} by {apart:.3g} on average, "
                f"probe_tolerance is {self._tolerance:g}"
            )
        self._accept(each.version, votes[0])
        return ""

    def due(self, versions: Iterable[str], now_s: float) -> str | None:
        """Return the version whose next probe is most overdue; None where none is due."""
        known = sorted((self._taken[each], each) for each in versions if each in self._taken)
        return known[0][1] if known and now_s - known[0][0] >= self.settings.probe_every_s else None

    def postpone(self, version: str, now_s: float) -> None:
        """Put the next probe off, since the engine had no answer: the last one counts until it has."""
        if version in self._taken:
            self._taken[version] = now_s

    def wants_base(self) -> bool:
        """Return whether there is something to compare with the base model, which was not probed yet."""
        return self._base is None and bool(self._taken)

    def forget(self, version: str) -> None:
        """Note that the version was unloaded: it has to be probed again. Its last fingerprint stays known."""
        self._taken.pop(version, None)
        self._lives[version] += 1

    def forget_all(self) -> None:
        """Note that the engine is gone."""
        for version in list(self._taken):
            self.forget(version)
        self._base = None

    def known(self, versions: Iterable[str]) -> dict[str, Probe]:
        """Return the known fingerprints of these versions, for the other replicas and for this one's next start."""
        known = {each: self._known.get(each) or self._attested(each) for each in versions}
        return {version: probe for version, probe in known.items() if probe is not None}

    async def _apart(self, engine: Probed, version: str) -> float | None:
        """Return how far the engine is from the version's proof; None where it has none. An engine that gave the proof
        is asked a part of it, for its clients wait meanwhile, and all of it where that part is not given."""
        proof = self.proofs.asked(version)
        if proof is None:
            return None
        if self.taken(version) and not self.proofs.refusal(version):
            apart = await engine.prove(version, self.proofs.part(version))
            if apart <= proof.tolerance:
                return apart
        return await engine.prove(version, proof)

    @property
    def _tolerance(self) -> float:
        return self.settings.probe_tolerance

    def _attested(self, version: str) -> Probe | None:
        """Return what this replica attested before its reconciler was started again."""
        attestation = self.table().attestations.get(self.replica)
        return attestation.probes.get(version) if attestation else None

    def _accept(self, version: str, vote: Vote) -> None:
        """Take a fingerprint that differs from before as right, since the vote is for it."""
        probe = self._known[version]
        if probe.differing:
            self._known[version] = Probe(logprobs=dict(vote.logprobs), since_ms=now_ms(), engine=probe.engine)

    def _compare(self, version: str, logprobs: dict[str, float]) -> None:
        if self._base is not None and self._base.logprobs == logprobs and version not in self._idle:
            self._idle.add(version)
            log.warning("adapter without effect: it answers as the base model", replica=self.replica, version=version)
