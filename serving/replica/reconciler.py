"""The reconciler of one engine replica: makes it serve what the routes want, and attests what it really serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from serving.append import Append
from serving.replica.adapters import Adapters
from serving.replica.attester import Attester, ReplicaState, unsealed
from serving.replica.fingerprints import Fingerprints
from serving.replica.loader import EngineAdmin, Loader
from serving.replica.reprobe import Reprobing
from serving.replica.standby import Standby
from serving.routes.routing import RouteTable
from serving.routes.slots import WantedVersion, wanted
from serving.settings import ControllerSettings, Replica
from streams.events import ReplicaAttested, RouteWritten
from streams.objects.tree import Trees

log = structlog.get_logger()

LOOK_S = 0.1  # how soon a new route is noticed where `wake` is not called


@dataclass(slots=True)
class Reconciler:
    """The reconciler. `base_model` is the id that adapters' digests are made with, `former_base_model` the one of
    earlier releases; `seal` signs attestations.

    `answering`: the versions that a client may be sent here for: those attested, and those attested until no route
    wanted them any more, as long as the engine has them."""

    settings: ControllerSettings
    replica: Replica
    engine: EngineAdmin
    table: Callable[[], RouteTable]
    append: Append
    trees: Trees
    base_model: str
    former_base_model: str = ""
    seal: Callable[[ReplicaAttested], ReplicaAttested] = unsealed
    answering: frozenset[str] = frozenset()
    seen: Callable[[Path], Path] = lambda folder: folder  # our folders as the engine sees them
    standby: Standby | None = None  # None: no other controller has this engine
    attester: Attester = field(init=False)
    _fingerprints: Fingerprints = field(init=False)
    _loader: Loader = field(init=False)
    _reprobing: Reprobing = field(init=False)
    _refused: set[str] = field(default_factory=set)  # for want of a slot; logged once
    _away: bool = False
    _standing_by: bool = False
    _loop: asyncio.AbstractEventLoop | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        name, rank = self.replica.name, self.settings.max_lora_rank
        adapters = Adapters(self.trees, self.base_model, rank, self.former_base_model)
        self._fingerprints = Fingerprints(self.settings, name, lambda: self.table())
        self._loader = Loader(self.settings, name, self.engine, adapters, self._fingerprints, self.seen)
        self._reprobing = Reprobing(name, self._fingerprints)
        me, every_s = self.standby.me if self.standby else "", self.settings.attest_every_s
        self.attester = Attester(self.replica, self.base_model, self.append, every_s, me, self.seal)

    def wake(self) -> None:
        """Notice now that the table has changed, from any thread; without it a change is noticed within LOOK_S."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self, stop: asyncio.Event) -> None:
        """Reconcile until `stop`: at once when a route changes, and every `engine_poll_s`."""
        self._loop, seen, due = asyncio.get_running_loop(), dict[str, int](), 0.0
        while not stop.is_set():
            generations = {alias: route.generation for alias, route in self.table().routes.items()}
            look = time.monotonic() >= due
            if look or generations != seen:
                seen = generations
                await self._attempt(look)
                due = time.monotonic() + self.settings.engine_poll_s if look else due
            await self._rest()
        self._loop = None
        await self._reprobing.close()
        await self.attester.close()

    async def _rest(self) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), LOOK_S)
        except TimeoutError:
            return
        self._woken.clear()

    async def _attempt(self, look: bool) -> None:
        try:
            if self._may():
                await self.reconcile(time.monotonic(), look=look)
            elif look:
                await self._loader.keep_at_hand(wanted(dict(self.table().routes), self.settings.max_loras)[0])
        except Exception:  # the loop's top: the next pass tries again
            log.exception("reconciling failed", replica=self.replica.name)

    async def reconcile(self, now_s: float, *, look: bool = True) -> None:
        """Compare desired and real state, repair, and attest where that is due. Without a `look` at the engine it has
        what it had a moment ago."""
        routes = dict(self.table().routes)
        fitting, excess = wanted(routes, self.settings.max_loras)
        self._refuse(excess)
        if not (await self._alive() if look else not self._away):
            await self._attest(routes, fitting, {}, now_s, healthy=False)
            return
        await self._loader.warm()
        self._loader.note(routes, {each.version for each in (*fitting, *excess)}, now_s)
        serving = await self._repair(routes, fitting, now_s)
        await self._attest(routes, fitting, serving, now_s)
        if self.standby is None or not self.standby.cut_off:
            await self._loader.unload(now_s)
        self._reprobing.start(self.engine, serving, self._loader.loaded, now_s)

    def _may(self) -> bool:
        """Return whether this controller looks after the engine; where another does, what is known of it is old."""
        may = self.standby is None or self.standby.mine(self.replica.name)
        if self.standby is not None and may == self._standing_by:
            by = self.standby.keeper(self.replica.name)
            log.info("engine is ours to look after" if may else "engine is another's", replica=self.replica.name, by=by)
            self._loader.lost()
        self._standing_by = not may
        return may

    async def _alive(self) -> bool:
        """Return whether the engine answers; where it does not, everything it had is gone."""
        try:
            self._loader.found(await self.engine.models())
        except Exception as error:  # any failure of the engine means the same
            if not self._away:
                log.warning("engine does not answer", replica=self.replica.name, error=repr(error))
            self._away = True
            self._loader.lost()
            return False
        if self._away:
            log.info("engine answers again", replica=self.replica.name)
        self._away = False
        return True

    async def _repair(
        self, routes: Mapping[str, RouteWritten], plan: list[WantedVersion], now_s: float
    ) -> dict[str, str]:
        """Repair, and return version -> digest of what the engine serves. A version that it serves no longer is
        attested before any repair, and each repair as soon as it is done."""
        serving = {each.version: each.digest for each in plan if await self._loader.serves(each)}
        if self.attester.versions & {each.version for each in plan} - set(serving):
            await self._attest(routes, plan, serving, now_s)
        for each in plan:
            if each.version not in serving and await self._loader.bring(each, now_s):
                serving[each.version] = each.digest
                await self._attest(routes, plan, serving, now_s)
        return serving

    async def _attest(
        self,
        routes: Mapping[str, RouteWritten],
        plan: list[WantedVersion],
        serving: dict[str, str],
        now_s: float,
        *,
        healthy: bool = True,
    ) -> None:
        names = [each.version for each in plan]
        draining = self.answering.difference(names) & self._loader.loaded.keys()
        self.answering = frozenset(serving) | draining
        probes, proofs = self._fingerprints.known(names), self._fingerprints.proofs.shown(names)
        await self.attester.attest(ReplicaState.of(routes, serving, probes, proofs, healthy=healthy), now_s)

    def _refuse(self, excess: list[WantedVersion]) -> None:
        names = {each.version for each in excess}
        for name in sorted(names - self._refused):
            log.error("no slot left for this version", version=name, max_loras=self.settings.max_loras)
        self._refused = names
