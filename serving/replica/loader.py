"""Loading versions into one engine and unloading them: bytes checked before, the engine's answers after."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from serving.replica.adapters import Adapters
from serving.replica.fingerprints import Fingerprints, Probed
from serving.routes.slots import WantedVersion
from serving.settings import ControllerSettings
from streams.clock import now_ms
from streams.events import RouteWritten
from streams.identity import EVALUATION, VERSION

log = structlog.get_logger()

FETCH_S = 2.0  # that a pass waits for an adapter of a bucket
BACK_OFF_S = (0.5, 5.0)  # after what could not be done, twice as long each time


class EngineAdmin(Probed, Protocol):
    """The part of `serving.replica.engine.VllmAdmin` that is needed here. Any exception means: not now."""

    async def models(self) -> Mapping[str, str]:
        """Return every name that can be asked, with the folder its weights came from."""

    async def load(self, name: str, path: str) -> object:
        """Load an adapter; return once it answers under the name."""

    async def unload(self, name: str) -> object:
        """Take an adapter out."""

    async def warm(self, name: str) -> object:
        """Make a fresh engine compile what its first clients would wait for."""


@dataclass(slots=True)
class Loader:
    """The loader of one replica. `loaded`: name -> folder, as the engine listed them when this pass began and as it
    became since."""

    settings: ControllerSettings
    replica: str
    engine: EngineAdmin
    adapters: Adapters
    fingerprints: Fingerprints
    seen: Callable[[Path], Path] = lambda folder: folder  # our folders as the engine sees them
    loaded: dict[str, str] = field(default_factory=dict)
    _ours: set[str] = field(default_factory=set)  # loaded by us, and not gone since
    _warm: bool = False
    _unwanted_since: dict[str, float] = field(default_factory=dict)
    _again_at: dict[str, float] = field(default_factory=dict)  # version -> when what was in vain is tried again
    _failures: Counter[str] = field(default_factory=Counter)  # in a row
    _fetching: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # version -> its fetch
    _troubles: dict[str, str] = field(default_factory=dict)  # version -> what keeps it away; logged once

    def found(self, loaded: Mapping[str, str]) -> None:
        """Take what the engine has now."""
        self.loaded = dict(loaded)
        self._ours &= set(loaded)

    def lost(self) -> None:
        """Note that the engine is gone, and all that it had."""
        self.loaded.clear()
        self._ours.clear()
        self._warm = False
        self._again_at.clear()
        self._failures.clear()
        self.fingerprints.forget_all()

    async def warm(self) -> None:
        """Warm the engine up once in its life, before clients come to it."""
        base = base_model(self.loaded)
        if self._warm or base is None:
            return
        self._warm = True
        try:
            await self.engine.warm(base)
        except Exception as error:  # it may serve all the same: the probes will show it
            log.warning("engine could not be warmed", replica=self.replica, error=repr(error))

    async def serves(self, each: WantedVersion) -> bool:
        """Return whether the engine answers with the version's bytes, as far as is known without asking it."""
        try:
            if not self.adapters.at_hand(each):
                return False
            path = self.seen(await asyncio.to_thread(self.adapters.verified, each))
        except (ValueError, OSError) as error:
            self._trouble(each, str(error))
            return False
        return self._has(each, path) and not self.fingerprints.doubt(each)

    async def bring(self, each: WantedVersion, now_s: float) -> bool:
        """Load and probe what is missing, and return whether it serves. A version that differs from what it should be
        is loaded once more, then left alone for `probe_every_s`."""
        if now_s < self._again_at.get(each.version, float("-inf")):
            return False
        try:
            doubt = await self._tried(each, now_s)
            if doubt:
                self._trouble(each, f"{doubt}; is loaded again")
                await self._drop(each.version)
                doubt = await self._tried(each, now_s)
            self._conclude(each, doubt, now_s)
        except Exception as error:  # one bad adapter must not stop the others
            self._trouble(each, str(error) or repr(error))
            self._failures[each.version] += 1
            wait_s = BACK_OFF_S[0] * 2.0 ** (self._failures[each.version] - 1)
            self._again_at[each.version] = now_s + min(wait_s, BACK_OFF_S[1])
            return False
        return not doubt

    def note(self, routes: Mapping[str, RouteWritten], keep: set[str], now_s: float) -> None:
        """Note which of a routed alias's versions no route wants any more; names of other aliases are none of ours."""
        idle = {n for n in self.loaded if n not in keep and (m := VERSION.fullmatch(n)) and m["alias"] in routes}
        self._unwanted_since = {name: self._unwanted_since.get(name, now_s) for name in idle}

    async def unload(self, now_s: float) -> None:
        """Take out the versions that were unwanted for `drain_s`."""
        for name, since in sorted(self._unwanted_since.items()):
            if now_s - since >= self.settings.drain_s:
                await self._drop(name)

    async def keep_at_hand(self, plan: Iterable[WantedVersion]) -> None:
        """Fetch what may have to be loaded one day, and load nothing."""
        for each in plan:
            try:
                if not self.adapters.at_hand(each):
                    await self._fetch(each)
            except Exception as error:  # the store may be away; whoever loads it says so
                self._trouble(each, str(error) or repr(error))

    async def _tried(self, each: WantedVersion, now_s: float) -> str:
        """Return the doubt that is left once the version is loaded, probed and asked for its proof."""
        await self._load(each)
        if not self.fingerprints.taken(each.version):
            proof = await asyncio.to_thread(self.adapters.proof, each)
            self.fingerprints.proofs.expect(each.version, proof, now_ms())
            await self.fingerprints.take(self.engine, each.version, now_s)
        return self.fingerprints.doubt(each)

    async def _fetch(self, each: WantedVersion) -> None:
        """Fetch from a bucket, whole, in a thread that the next passes look at: the other versions must not wait."""
        if each.version not in self._fetching:
            self._fetching[each.version] = asyncio.create_task(asyncio.to_thread(self.adapters.fetch, each))
        done, _ = await asyncio.wait({self._fetching[each.version]}, timeout=FETCH_S)
        if not done:
            raise TimeoutError(f"not fetched within {FETCH_S:g} s; goes on")
        await self._fetching.pop(each.version)

    async def _load(self, each: WantedVersion) -> None:
        if not self.adapters.at_hand(each):
            await self._fetch(each)
        path = self.seen(await asyncio.to_thread(self.adapters.loadable, each))
        if self._has(each, path):
            return
        if each.version in self.loaded:
            log.warning("engine has other bytes under this name; replaced", version=each.version)
            await self._drop(each.version)
        await self._make_room()
        await self.engine.load(each.version, str(path))
        self.loaded[each.version] = str(path)
        self._ours.add(each.version)
        log.info("adapter loaded", replica=self.replica, version=each.version)
        try:
            await asyncio.to_thread(self.adapters.verified, each)
        except (ValueError, OSError):  # the bytes that were read may be others than those that were checked
            await self._drop(each.version)
            raise

    async def _make_room(self) -> None:
        """Take out versions that no route wants any more, where their slots are needed."""
        while sum(map(_takes_slot, self.loaded)) >= self.settings.max_loras:
            idle = sorted((since, name) for name, since in self._unwanted_since.items())
            if not idle:
                raise RuntimeError(f"no slot is free: {', '.join(sorted(self.loaded))}")
            await self._drop(idle[0][1])

    async def _drop(self, name: str) -> None:
        self.fingerprints.forget(name)
        self._unwanted_since.pop(name, None)
        await self.engine.unload(name)
        self.loaded.pop(name, None)
        self._ours.discard(name)
        log.info("adapter unloaded", replica=self.replica, version=name)

    def _has(self, each: WantedVersion, path: Path) -> bool:
        name = each.version
        return name in self.loaded and (name in self._ours or Path(self.loaded[name]) == path)

    def _conclude(self, each: WantedVersion, doubt: str, now_s: float) -> None:
        self._failures.pop(each.version, None)
        if not doubt:
            self._troubles.pop(each.version, None)
            self._again_at.pop(each.version, None)
            return
        self._again_at[each.version] = now_s + self.settings.probe_every_s
        self._trouble(each, f"{doubt}: not served; next try in {self.settings.probe_every_s:g} s")

    def _trouble(self, each: WantedVersion, problem: str) -> None:
        if self._troubles.get(each.version) != problem:
            self._troubles[each.version] = problem
            log.error("adapter is in trouble", replica=self.replica, version=each.version, problem=problem)


def base_model(names: Iterable[str]) -> str | None:
    """Return the name of the base model, which is no adapter's; None where there is none."""
    return next((name for name in names if VERSION.fullmatch(name) is None), None)


def _takes_slot(name: str) -> bool:
    """Return whether clients are served with the adapter; one under evaluation must never keep a champion out."""
    return VERSION.fullmatch(name) is not None and not name.startswith(EVALUATION)
