"""An operator's changes to the routes in force: pure, each returns the next generation or raises why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from serving.routes.routing import UnknownAlias
from serving.routes.slots import excess, too_high, versions
from streams.events import RouteWritten
from streams.identity import version_name

Routes = Mapping[str, RouteWritten]  # in force, by alias


class NothingBefore(LookupError):
    """There is no previous champion to go back to."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """The limits that the engines were started with."""

    max_loras: int
    max_lora_rank: int


@dataclass(frozen=True, slots=True)
class Named:
    """A version that an operator names; `rank` where its files are at hand."""

    version: str
    digest: str
    rank: int | None = None

    def check(self, alias: str, limits: EngineLimits | None) -> None:
        """Raise ValueError where version and digest do not belong together, or no engine can take the rank."""
        right = version_name(alias, self.digest)
        if self.version != right:
            raise ValueError(f"version is {self.version!r}, expected {right!r} for digest {self.digest}")
        if limits and self.rank is not None and (why := too_high(self.rank, limits.max_lora_rank)):
            raise ValueError(f"{self.version}: {why}; train it with a lower r, or raise stack.max_lora_rank")


@dataclass(frozen=True, slots=True)
class Promote:
    """A version becomes the champion at once, without a canary; a rollout under way ends. The champion before it stays
    loaded for a rollback, unless `keep_previous` is false."""

    named: Named
    keep_previous: bool = True
    action: str = "promote"

    def __call__(self, routes: Routes, alias: str, limits: EngineLimits | None) -> RouteWritten:
        """Return the next route; the one in force where it is so already. Raise ValueError where it cannot be
        served."""
        self.named.check(alias, limits)
        version, adapters = self.named.version, {self.named.version: self.named.digest}
        current = routes.get(alias)
        if current is None:
            first = RouteWritten(alias=alias, generation=1, champion=version, adapters=adapters, time_ms=0, by="")
            return _fitting(routes, first, limits)
        kept_as_is = self.keep_previous or current.previous is None
        if current.champion == version and current.canary is None and kept_as_is:
            return current
        previous = current.previous if current.champion == version else current.champion
        kept = {"previous": previous if self.keep_previous else None, "adapters": {**current.adapters, **adapters}}
        return _fitting(routes, _next(current, champion=version, **kept), limits)


@dataclass(frozen=True, slots=True)
class Rollback:
    """The previous champion gets its place back; a canary is withdrawn. `away`: the champion that is to go, where one
    is named: another one by then is left alone."""

    away: str | None = None
    action: str = "rollback"

    def __call__(self, routes: Routes, alias: str, limits: EngineLimits | None) -> RouteWritten:
        """Return the next route. Raise LookupError where there is no previous champion."""
        current = _current(routes, alias)
        if self.away is not None and current.champion != self.away:
            raise RuntimeError(f"{alias}: {current.champion} serves by now, not {self.away}; look, and try again")
        if current.previous is None:
            raise NothingBefore(
                f"alias {alias!r} has no previous champion; name one: homeostat promote {alias} VERSION"
            )
        return _next(current, champion=current.previous, previous=None)


@dataclass(frozen=True, slots=True)
class Pause:
    """No automatic retraining or promotion until the pause is taken back; a harmful canary is still withdrawn."""

    paused: bool

    @property
    def action(self) -> str:
        """Return the action's name in the ledger."""
        return "pause" if self.paused else "resume"

    def __call__(self, routes: Routes, alias: str, limits: EngineLimits | None) -> RouteWritten:
        """Return the next route; the one in force where it is so already."""
        current = _current(routes, alias)
        if current.paused == self.paused:
            return current
        return _next(current, **_rollout(current), paused=self.paused)


@dataclass(frozen=True, slots=True)
class Shadow:
    """The alias's requests are mirrored to a version whose answers no client gets; None: to none. All else stays."""

    named: Named | None

    @property
    def action(self) -> str:
        """Return the action's name in the ledger."""
        return "shadow" if self.named else "shadow off"

    def __call__(self, routes: Routes, alias: str, limits: EngineLimits | None) -> RouteWritten:
        """Return the next route; the one in force where it is so already. Raise ValueError where it cannot be
        served."""
        current = _current(routes, alias)
        if self.named is not None:
            self.named.check(alias, limits)
        shadow = self.named.version if self.named else None
        if current.shadow == shadow:
            return current
        adapters = current.adapters | ({self.named.version: self.named.digest} if self.named else {})
        changed = _next(current, **_rollout(current), shadow=shadow, adapters=adapters)
        return _fitting(routes, changed, limits)


Change = Promote | Rollback | Pause | Shadow


def _current(routes: Routes, alias: str) -> RouteWritten:
    if alias not in routes:
        names = ", ".join(sorted(routes)) or "none yet"
        raise UnknownAlias(f"alias {alias!r} has no route; known: {names}. First: homeostat promote {alias} VERSION")
    return routes[alias]


def _rollout(current: RouteWritten) -> dict[str, Any]:
    """Return the fields that let a rollout under way go on."""
    fields = ("canary", "weight", "salt", "request")
    return {name: getattr(current, name) for name in fields}


def _next(current: RouteWritten, **changes: Any) -> RouteWritten:
    """Return the next generation; without a rollout unless `changes` has it."""
    changed = msgspec.structs.replace(current, **{"canary": None, "weight": 0.0, "salt": "", "request": "", **changes})
    adapters = {version: changed.adapters[version] for version in versions([changed])}
    return msgspec.structs.replace(changed, generation=current.generation + 1, adapters=adapters)


def _fitting(routes: Routes, route: RouteWritten, limits: EngineLimits | None) -> RouteWritten:
    """Return the route. Raise ValueError where the engines have no room for all that is wanted with it."""
    if limits and (why := excess(versions([*{**routes, route.alias: route}.values()]), limits.max_loras)):
        raise ValueError(f"{why}; take a shadow off, promote without a previous one, or raise stack.max_loras")
    return route
