"""An operator's acts on an alias's route: promote, roll back, pause, resume, shadow. Each is recorded first.

An operator wins: where an automatic actor wrote the generation first, the change is made to what it wrote. One who
stops something waits for no broker: `pause`, `resume` and `rollback` raise BrokersSilent where nothing more comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing

import msgspec

from serving.rollout.changes import Change, EngineLimits, Named, Pause, Promote, Rollback, Routes, Shadow
from serving.routes.attestations import by_arrival, present
from streams import codec
from streams.clock import now_ms
from streams.events import DecisionRecorded, ReplicaAttested, RetrainReported, RouteWritten
from streams.identity import uuid7, version_name
from streams.kinds import DecisionKind
from streams.log.append import Appender
from streams.log.patience import Moved, patient, unheeded
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.routes import effective, in_force, without_salt
from streams.signatures import Signature, one_name, passed, signed
from streams.topics import ATTESTATIONS, LEDGER, RESULTS, ROUTES

ATTEMPTS = 10


class UnknownVersion(LookupError):
    """No route and no retraining ever named it."""


def routes(kafka: KafkaSettings, moved: Moved = unheeded) -> dict[str, RouteWritten]:
    """Return the route in force of each alias: the first record of the highest generation."""
    return in_force(record.event for record in read(kafka, ROUTES, RouteWritten, moved))


def attestations(kafka: KafkaSettings) -> list[ReplicaAttested]:
    """Return the last attestation of each replica that is not gone, in the order of their names."""
    records = read(kafka, ATTESTATIONS, ReplicaAttested)
    found = {each.event.replica: by_arrival(each.event, [], each.timestamp_ms) for each in records}
    return sorted(present(found.values()), key=lambda each: each.replica)


def promote(
    kafka: KafkaSettings,
    alias: str,
    version: str,
    digest: str,
    by: str,
    *,
    limits: EngineLimits | None = None,
    rank: int | None = None,
    keep_previous: bool = True,
) -> RouteWritten:
    """Make `version` the champion at once. Raise ValueError where version and digest do not belong together, or the
    engines have no room for it; nothing is written then."""
    change = Promote(Named(version, digest, rank), keep_previous)
    return _in_force(kafka, routes(kafka), [alias], change, by, limits)[0]


def rollback(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """Give the previous champion its place back; a canary is withdrawn. Raise LookupError where there is none,
    RuntimeError where the champion changed in the meantime."""
    return _soon(kafka, lambda known: Rollback(known[alias].champion if alias in known else None), by, alias)[0]


def pause(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """Stop automatic retraining and promotion until `resume`; a harmful canary is still withdrawn."""
    return _soon(kafka, lambda _: Pause(True), by, alias)[0]


def resume(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """Take the pause back."""
    return _soon(kafka, lambda _: Pause(False), by, alias)[0]


def pause_all(kafka: KafkaSettings, by: str) -> list[RouteWritten]:
    """Pause every alias, all in one step; one that fails keeps no other from it. Raise RuntimeError at the end, naming
    those that failed."""
    return _soon(kafka, lambda _: Pause(True), by)


def resume_all(kafka: KafkaSettings, by: str) -> list[RouteWritten]:
    """Take every pause back; see `pause_all`."""
    return _soon(kafka, lambda _: Pause(False), by)


def shadow(
    kafka: KafkaSettings,
    alias: str,
    version: str | None,
    by: str,
    *,
    digest: str | None = None,
    limits: EngineLimits | None = None,
    rank: int | None = None,
) -> RouteWritten:
    """Mirror the alias's requests to `version`; None ends it. Without a digest the log is searched for it: raise
    UnknownVersion where the log does not name the version, ValueError as `promote`."""
    if version is None:
        return _in_force(kafka, routes(kafka), [alias], Shadow(None), by)[0]
    named = Named(version, digest or _digest(kafka, alias, version), rank)
    return _in_force(kafka, routes(kafka), [alias], Shadow(named), by, limits)[0]


def sign(
    kafka: KafkaSettings, alias: str, version: str, by: str, *, approves: bool, reason: str = ""
) -> DecisionRecorded:
    """Record a person's signature of a candidate; `by`: the person, else their key. The same one given again, or by a
    name with other capitals, changes nothing.
    Raise UnknownVersion where no retraining of the alias that may be rolled out made the version, ValueError where a
    refusal has no reason."""
    if not approves and not reason.strip():
        raise ValueError("reason is empty, expected why the candidate is refused: who trains the next one reads it")
    decision = signed(
        _passed(kafka, alias, version), Signature(by=one_name(by), approves=approves, time_ms=now_ms(), reason=reason)
    )
    with closing(Appender(kafka, f"homeostat/{by}")) as appender:
        appender.append(LEDGER, decision, id=decision.id, time_ms=decision.time_ms)
    return decision


def _soon(
    kafka: KafkaSettings, change: Callable[[Routes], Change], by: str, alias: str | None = None
) -> list[RouteWritten]:
    """Make the change, which may depend on the routes, to the alias, or to all that have a route."""

    def act(moved: Moved) -> list[RouteWritten]:
        known = routes(kafka, moved)
        aliases = list(known) if alias is None else [alias]
        return _in_force(kafka, known, aliases, change(known), by, moved=moved)

    return patient(act, kafka.bootstrap)


def _in_force(
    kafka: KafkaSettings,
    known: Routes,
    aliases: Iterable[str],
    change: Change,
    by: str,
    limits: EngineLimits | None = None,
    moved: Moved = unheeded,
) -> list[RouteWritten]:
    """Write the change of each alias until it is in force, all at once: of a hundred, none shall wait for the others.
    Raise RuntimeError, naming those for which other writers were faster ten times in a row."""
    left, done = sorted(aliases), dict[str, RouteWritten]()
    for _ in range(ATTEMPTS):
        wanted = [change(known, alias, limits) for alias in left]
        new = [msgspec.structs.replace(route, by=by) for route in wanted if route is not known.get(route.alias)]
        done |= {route.alias: route for route in wanted if route is known.get(route.alias)}
        if new:
            known, won = _written(kafka, known, new, change.action, moved)
            done |= {route.alias: route for route in won}
        left = [alias for alias in left if alias not in done]
        if not left:
            return [done[alias] for alias in sorted(done)]
    raise RuntimeError(
        f"{', '.join(left)}: others wrote {ATTEMPTS} generations in a row before us; look, and try again"
    )


def _written(
    kafka: KafkaSettings, before: Routes, new: Iterable[RouteWritten], action: str, moved: Moved
) -> tuple[Routes, list[RouteWritten]]:
    """Write the ledger first, then the routes: the ledger without the salt, by which anybody could choose an arm.
    Return the routes in force then, and those of the new ones that are among them, or were."""
    at_ms = now_ms()
    made = [msgspec.structs.replace(route, time_ms=at_ms, cause=uuid7(at_ms)) for route in new]
    decisions = [_decision(before.get(route.alias), route, action) for route in made]
    with closing(Appender(kafka, f"homeostat/{made[0].by}")) as appender:
        moved()
        appender.append_all(LEDGER, [(each.id, each) for each in decisions], time_ms=at_ms)
        moved()
        appender.append_all(ROUTES, [(f"{each.cause}/route", each) for each in made], time_ms=at_ms)
        moved()
    effective_ones = list(effective(record.event for record in read(kafka, ROUTES, RouteWritten, moved)))
    causes = {each.cause for each in effective_ones}
    return in_force(effective_ones), [each for each in made if each.cause in causes]


def _decision(before: RouteWritten | None, route: RouteWritten, action: str) -> DecisionRecorded:
    return DecisionRecorded(
        id=route.cause,
        alias=route.alias,
        time_ms=route.time_ms,
        kind=DecisionKind.OPERATOR,
        function="operator",
        inputs={"action": action, "by": route.by, "route": codec.plain(before and without_salt(before))},
        output=codec.plain(without_salt(route)),
        summary=f"{route.by}: {action} {route.alias}, champion {route.champion}",
    )


def _digest(kafka: KafkaSettings, alias: str, version: str) -> str:
    """Return the digest of a version that some route named, or some retraining made."""
    made = [r.event.digest for r in read(kafka, RESULTS, RetrainReported) if r.event.alias == alias and r.event.digest]
    found = {version_name(alias, digest): digest for digest in made}
    for record in read(kafka, ROUTES, RouteWritten):
        found |= record.event.adapters if record.event.alias == alias else {}
    if version not in found:
        names = ", ".join(sorted(found)) or "none"
        raise UnknownVersion(f"{version}: no route and no retraining of {alias} named it; known: {names}")
    return found[version]


def _passed(kafka: KafkaSettings, alias: str, version: str) -> RetrainReported:
    """Return the newest report about the candidate."""
    known = passed((record.event for record in read(kafka, RESULTS, RetrainReported)), alias)
    if version in known:
        return known[version]
    names = ", ".join(reversed(known)) or "none"
    raise UnknownVersion(f"{version}: no candidate of {alias} that has passed the gate, expected one of: {names}")
