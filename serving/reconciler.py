"""Makes one engine replica serve what the routes want, and says what it really serves. One per replica."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from serving.routing import RouteTable
from serving.settings import ControllerSettings, Replica
from streams.events import Event, ReplicaAttested, RouteWritten
from streams.identity import ADAPTER_FILES, EVALUATION, VERSION, adapter_digest, adapter_path
from streams.topics import ATTESTATIONS, Topic

log = structlog.get_logger()

LOOK_S = 0.05  # how soon a new route is noticed
SOON_S = 0.5  # until the next look when something is left to do


class Engine(Protocol):
    """The part of `serving.engine` that is needed here. Any exception means: not now."""

    async def models(self) -> Mapping[str, str]: ...
    async def load(self, name: str, path: str) -> object: ...
    async def unload(self, name: str) -> object: ...


class Append(Protocol):
    """`streams.log.Appender.append` or `streams.publisher.Publisher.publish`; called outside the event loop."""

    def __call__(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> object: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """One version that the routes want here."""

    alias: str
    version: str
    digest: str


def wanted(routes: Mapping[str, RouteWritten], slots: int) -> tuple[list[Wanted], list[Wanted]]:
    """What fits and what does not: champions first, then canaries, previous ones and shadows."""
    found: dict[str, Wanted] = {}
    for part in ("champion", "canary", "previous", "shadow"):
        for alias in sorted(routes):
            version = getattr(routes[alias], part)
            if version is not None and version in routes[alias].adapters:
                found.setdefault(version, Wanted(alias, version, routes[alias].adapters[version]))
    plan = list(found.values())
    return plan[:slots], plan[slots:]


@dataclass(slots=True)
class Reconciler:
    """`base_model` is the id that adapters' digests were made with."""

    settings: ControllerSettings
    replica: Replica
    engine: Engine
    table: Callable[[], RouteTable]
    append: Append
    adapter_root: Path
    base_model: str
    _verified: dict[str, tuple[object, ...]] = field(default_factory=dict)  # digest -> the files' stamps
    _loaded: set[str] = field(default_factory=set)  # by us, and not gone since
    _unwanted_since: dict[str, float] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)  # said once
    _attested: tuple[object, ...] = ()
    _attested_at: float = float("-inf")
    _unfinished: bool = False
    _away: bool = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`: at once on a route change, soon while something is left to do, else every few seconds."""
        seen: dict[str, int] | None = None
        due = 0.0
        while not stop.is_set():
            generations = {alias: route.generation for alias, route in self.table().routes.items()}
            if generations != seen or time.monotonic() >= due:
                seen = generations
                await self._attempt()
                due = time.monotonic() + (
                    min(SOON_S, self.settings.attest_every_s) if self._unfinished else self.settings.attest_every_s
                )
            try:
                await asyncio.wait_for(stop.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def _attempt(self) -> None:
        try:
            await self.reconcile(time.monotonic())
        except Exception:  # the loop's top: the next turn tries again
            log.exception("reconciling failed", replica=self.replica.name)
            self._unfinished = True

    async def reconcile(self, now_s: float) -> None:
        """One comparison of desired and real state, the repair, and an attestation where one is due."""
        routes = dict(self.table().routes)
        fitting, excess = wanted(routes, self.settings.max_loras)
        self._refuse(excess)
        self._unfinished = False
        try:
            loaded = await self.engine.models()
        except Exception as error:  # any failure of the engine means the same
            if not self._away:
                log.warning("engine does not answer", replica=self.replica.name, error=repr(error))
            self._away = True
            self._loaded.clear()
            self._unfinished = True
            await self._attest(routes, {}, now_s, healthy=False)
            return
        if self._away:
            log.info("engine answers again", replica=self.replica.name)
        self._away = False
        self._loaded &= set(loaded)
        serving = await self._repair(fitting, dict(loaded))
        await self._attest(routes, serving, now_s, healthy=True)
        await self._unload(routes, {w.version for w in (*fitting, *excess)}, set(loaded), now_s)

    async def _repair(self, plan: list[Wanted], loaded: dict[str, str]) -> dict[str, str]:
        """Loads what is missing; version -> digest of what the engine has, bytes checked."""
        serving: dict[str, str] = {}
        for each in plan:
            try:
                if await self._ensure(each, loaded):
                    serving[each.version] = each.digest
            except Exception as error:  # one bad adapter must not stop the others
                log.error("adapter cannot be loaded", replica=self.replica.name, version=each.version, error=str(error))
            self._unfinished |= each.version not in serving
        return serving

    async def _ensure(self, each: Wanted, loaded: dict[str, str]) -> bool:
        path = adapter_path(self.adapter_root, each.alias, each.digest)
        await asyncio.to_thread(self._verify, path, each)
        if each.version in loaded:
            if each.version in self._loaded or Path(loaded[each.version]) == path:
                return True
            log.warning("engine has other bytes under this name; replaced", version=each.version)
            await self.engine.unload(each.version)
        elif sum(map(_takes_slot, loaded)) >= self.settings.max_loras:
            return False  # until one that nobody wants is gone
        await self.engine.load(each.version, str(path))
        loaded[each.version] = str(path)
        self._loaded.add(each.version)
        log.info("adapter loaded", replica=self.replica.name, version=each.version)
        return True

    def _verify(self, path: Path, each: Wanted) -> None:
        """Raises ValueError where the bytes are not the digest's; looks again when a file has changed."""
        if not each.version.endswith(f"-{each.digest[:12]}"):
            raise ValueError(f"route names {each.version} with digest {each.digest}: they do not belong together")
        stamp = tuple((s.st_mtime_ns, s.st_size, s.st_ino) for name in ADAPTER_FILES if (s := (path / name).stat()))
        if self._verified.get(each.digest) == stamp:
            return
        found = adapter_digest(path, self.base_model)
        if found != each.digest:
            raise ValueError(f"{path}: digest is {found}, expected {each.digest}: altered, or of another base model")
        self._verified[each.digest] = stamp

    async def _unload(self, routes: Mapping[str, RouteWritten], keep: set[str], loaded: set[str], now_s: float) -> None:
        """Unloads what belongs to a routed alias and was wanted by no route for `drain_s`."""
        idle = {n for n in loaded - keep if (m := VERSION.fullmatch(n)) and m["alias"] in routes}
        self._unwanted_since = {name: self._unwanted_since.get(name, now_s) for name in idle}
        for name, since in sorted(self._unwanted_since.items()):
            if now_s - since >= self.settings.drain_s:
                await self.engine.unload(name)
                self._loaded.discard(name)
                del self._unwanted_since[name]
                log.info("adapter unloaded", replica=self.replica.name, version=name)
        self._unfinished |= bool(self._unwanted_since)

    async def _attest(
        self, routes: Mapping[str, RouteWritten], serving: dict[str, str], now_s: float, *, healthy: bool
    ) -> None:
        generations = {alias: route.generation for alias, route in routes.items()}
        content = (healthy, serving, generations)
        if content == self._attested and now_s - self._attested_at < self.settings.attest_every_s:
            return
        time_ms = time.time_ns() // 1_000_000
        event = ReplicaAttested(
            replica=self.replica.name,
            url=self.replica.url,
            time_ms=time_ms,
            healthy=healthy,
            base_model=self.base_model,
            versions=serving,
            generations=generations,
        )
        id = f"{self.replica.name}/{time.time_ns()}"
        await asyncio.to_thread(self.append, ATTESTATIONS, event, id=id, time_ms=time_ms)
        self._attested, self._attested_at = content, now_s

    def _refuse(self, excess: list[Wanted]) -> None:
        names = {each.version for each in excess}
        for name in sorted(names - self._refused):
            log.error("no slot left for this version", version=name, max_loras=self.settings.max_loras)
        self._refused = names


def _takes_slot(name: str) -> bool:
    """An adapter that clients are served with; one under evaluation must never keep a champion out."""
    return VERSION.fullmatch(name) is not None and not name.startswith(EVALUATION)
