"""The choice of a replica and a version for each request: pure, from routes and attestations."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from streams.events import ReplicaAttested, RouteWritten
from streams.kinds import Arm
from streams.routes import supersedes

SPAN = 2.0**64


class UnknownAlias(LookupError):
    """No route has this alias."""


class NoReplica(LookupError):
    """No healthy replica attests the alias's champion or the one before. `version`: the champion. `assigned`: the arm
    that was drawn."""

    def __init__(self, message: str, version: str, assigned: Arm) -> None:
        self.version, self.assigned = version, assigned
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Choice:
    """The replica and the version that answer a request. `assigned`: the arm that was drawn; where no replica has the
    canary, the champion answers for it."""

    alias: str
    version: str
    arm: Arm
    replica: str
    url: str
    assigned: Arm = Arm.CHAMPION


class AvoidedReplicas:
    """Replicas that should not be asked: those that fail, that no longer attest, and that do both."""

    __slots__ = ("dead", "failing", "stale")

    def __init__(self, failing: frozenset[str] = frozenset(), stale: frozenset[str] = frozenset()) -> None:
        self.failing, self.stale, self.dead = failing, stale, failing & stale


NONE_AVOIDED = AvoidedReplicas()


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Routes by alias and attestations by replica; never changed, only replaced."""

    routes: Mapping[str, RouteWritten] = field(default_factory=lambda: MappingProxyType({}))
    attestations: Mapping[str, ReplicaAttested] = field(default_factory=lambda: MappingProxyType({}))
    _serving: dict[tuple[str, str | None], tuple[ReplicaAttested, ...]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def serving(self, version: str, digest: str | None) -> tuple[ReplicaAttested, ...]:
        """Return the healthy replicas that attest these very bytes; they are looked for once for each table."""
        known = self._serving.get((version, digest))
        if known is None:
            known = tuple(each for each in self.attestations.values() if _attests(each, version, digest))
            self._serving[version, digest] = known
        return known

    def with_route(self, route: RouteWritten) -> RouteTable:
        """Return the table with a route that the log has after those in it."""
        if not supersedes(route, self.routes.get(route.alias)):
            return self
        return RouteTable(MappingProxyType({**self.routes, route.alias: route}), self.attestations)

    def with_attestation(self, attestation: ReplicaAttested) -> RouteTable:
        """Return the table with a replica's newest attestation."""
        return RouteTable(self.routes, MappingProxyType({**self.attestations, attestation.replica: attestation}))


def pick(
    table: RouteTable,
    alias: str,
    sticky_key: str,
    load: Mapping[str, int],
    avoid: frozenset[str] = frozenset(),
    turn: int = 0,
    stale: frozenset[str] = frozenset(),
) -> Choice:
    """Choose the version of the arm drawn for the sticky key, on the least loaded healthy replica that attests its very
    bytes; the champion, where none attests the canary, and the previous one, where none attests the champion yet.
    Replicas in `avoid` come last, those in `stale` too, those in both are not asked; equals take turns.

    `load`: requests under way, by replica. Raise UnknownAlias, NoReplica."""
    route = table.routes.get(alias)
    if route is None:
        raise UnknownAlias(alias)
    avoided, assigned = AvoidedReplicas(avoid, stale), drawn(route, sticky_key)
    if route.canary is not None and assigned is Arm.CANARY:
        found = _choice(table, route, (route.canary, Arm.CANARY, assigned), load, avoided, turn)
        if found is not None:
            return found
    for version in champions(route):
        found = _choice(table, route, (version, Arm.CHAMPION, assigned), load, avoided, turn)
        if found is not None:
            return found
    raise NoReplica(f"no healthy replica serves {route.champion} now", route.champion, assigned)


def champions(route: RouteWritten) -> tuple[str, ...]:
    """Return the versions that answer for the champion: itself, and the one before it as long as no replica has the
    champion loaded. (A champion that was rolled back is no previous one: it is never asked again.)"""
    return (route.champion,) if route.previous is None else (route.champion, route.previous)


def drawn(route: RouteWritten, sticky_key: str) -> Arm:
    """Draw the arm of a conversation, else an end user, else a request. It stays as long as the rollout, at whichever
    gateway; the next rollout has another salt, and other arms. Who does not know the salt cannot choose a key
    for its arm: the hash is keyed (RFC 7693)."""
    text, key = f"{route.alias}\0{sticky_key}".encode(errors="surrogatepass"), route.salt.encode()
    digest = hashlib.blake2b(text, key=key[: hashlib.blake2b.MAX_KEY_SIZE], digest_size=8).digest()
    share = route.weight if route.canary is not None else 0.0
    return Arm.CANARY if int.from_bytes(digest, "big") / SPAN < share else Arm.CHAMPION


def served(table: RouteTable, alias: str, dead: frozenset[str] = frozenset()) -> bool:
    """Return whether some replica that is not among the dead can answer the alias's clients."""
    route = table.routes[alias]
    fitting = (each for version in champions(route) for each in table.serving(version, route.adapters.get(version)))
    return any(each.replica not in dead for each in fitting)


def pick_shadow(table: RouteTable, alias: str, load: Mapping[str, int], turn: int = 0) -> Choice | None:
    """Return the replica that mirrors the alias's requests; None where none should, or can."""
    route = table.routes[alias]
    if route.shadow is None:
        return None
    return _choice(table, route, (route.shadow, Arm.SHADOW, Arm.SHADOW), load, NONE_AVOIDED, turn)


def _choice(
    table: RouteTable,
    route: RouteWritten,
    wanted: tuple[str, Arm, Arm],  # the version, its arm, the arm that was drawn
    load: Mapping[str, int],
    avoided: AvoidedReplicas,
    turn: int,
) -> Choice | None:
    version, arm, assigned = wanted
    fitting = table.serving(version, route.adapters.get(version))
    if avoided.dead:
        fitting = tuple(each for each in fitting if each.replica not in avoided.dead)
    if not fitting:
        return None
    best = fitting[0]
    if len(fitting) > 1:
        at, avoid, stale = turn % len(fitting), avoided.failing, avoided.stale
        best = min(
            (*fitting[at:], *fitting[:at]),
            key=lambda a: (a.replica in avoid, a.replica in stale, load.get(a.replica, 0)),
        )
    return Choice(route.alias, version, arm, best.replica, best.url, assigned)


def _attests(attestation: ReplicaAttested, version: str, digest: str | None) -> bool:
    return digest is not None and attestation.healthy and attestation.versions.get(version) == digest
