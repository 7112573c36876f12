"""The side-cars' last good answers and their ages, as a table of routes and replicas."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from serving.routes.routing import RouteTable
from serving.routes.trust import RefusalReason, RefusedAttestation, count
from streams.events import ReplicaAttested


@dataclass(frozen=True, slots=True)
class Answered:
    """A side-car's last good answer. `asked_s`: when it was asked, by the clock that only goes forward: no answer is
    younger than its question."""

    attestation: ReplicaAttested
    asked_s: float


class Answers:
    """The answers. The table has the routes of `routes`, and of the replicas those that answered: one that fell silent
    for `stale_s` stays in it as unhealthy, for it is known and gets nothing. One thread notes, any thread reads."""

    def __init__(
        self, routes: Callable[[], RouteTable], stale_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._routes, self._stale_s, self.clock = routes, stale_s, clock
        self._answered: Mapping[str, Answered] = MappingProxyType({})  # replaced as a whole
        self._made: tuple[RouteTable, Mapping[str, Answered], float, RouteTable] | None = None
        self._stale: frozenset[str] = frozenset()

    def note(self, name: str, answer: Answered) -> None:
        """Take an answer, unless it is to an earlier question than the one that is known."""
        known = self._answered.get(name)
        if known is None or known.asked_s < answer.asked_s:
            self._answered = MappingProxyType({**self._answered, name: answer})

    def drop(self, name: str) -> None:
        """Forget what a side-car answered: from now on it gets nothing."""
        if name in self._answered:
            self._answered = MappingProxyType({other: each for other, each in self._answered.items() if other != name})

    def table(self) -> RouteTable:
        """Return routes and replicas as known now; cheap where nothing changed."""
        now, base, answered = self.clock(), self._routes(), self._answered
        made = self._made
        if made is not None and made[0] is base and made[1] is answered and now < made[2]:
            return made[3]
        fresh = {name: each for name, each in answered.items() if now - each.asked_s < self._stale_s}
        self._count_stale(frozenset(answered.keys() - fresh.keys()))
        shown = {name: _shown(each, name in fresh) for name, each in answered.items()}
        table = RouteTable(base.routes, MappingProxyType(shown))
        until_s = min((each.asked_s for each in fresh.values()), default=float("inf")) + self._stale_s
        self._made = base, answered, until_s, table
        return table

    def _count_stale(self, stale: frozenset[str]) -> None:
        before, self._stale = self._stale, stale
        for name in stale - before:
            count(name, RefusedAttestation(RefusalReason.STALE, f"no good answer for {self._stale_s:g} s"))


def _shown(answer: Answered, fresh: bool) -> ReplicaAttested:
    return answer.attestation if fresh else msgspec.structs.replace(answer.attestation, healthy=False, versions={})
