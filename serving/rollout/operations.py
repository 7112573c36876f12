"""An operator's acts on an alias's route: promote, roll back, pause, resume, shadow. Each is recorded first.

An operator wins: where an automatic actor wrote the generation first, the change is made to what it wrote."""

from __future__ import annotations

from contextlib import closing

import msgspec

from serving.rollout.changes import Change, EngineLimits, Named, Pause, Promote, Rollback, Routes, Shadow
from serving.routes.attestations import present
from streams import codec
from streams.clock import now_ms
from streams.events import DecisionRecorded, ReplicaAttested, RetrainReported, RouteWritten
from streams.identity import uuid7, version_name
from streams.kinds import DecisionKind
from streams.log.append import Appender
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.routes import effective, in_force, without_salt
from streams.signatures import Signature, passed, signed
from streams.topics import ATTESTATIONS, LEDGER, RESULTS, ROUTES

ATTEMPTS = 10


class UnknownVersion(LookupError):
    """No route and no retraining ever named it."""


def routes(kafka: KafkaSettings) -> dict[str, RouteWritten]:
    """Return the route in force of each alias: the first record of the highest generation."""
    return in_force(record.event for record in read(kafka, ROUTES, RouteWritten))


def attestations(kafka: KafkaSettings) -> list[ReplicaAttested]:
    """Return the last attestation of each replica that is not gone, in the order of their names."""
    found = {record.event.replica: record.event for record in read(kafka, ATTESTATIONS, ReplicaAttested)}
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
    return _apply(kafka, alias, Promote(Named(version, digest, rank), keep_previous), by, limits)


def rollback(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """Give the previous champion its place back; a canary is withdrawn. Raise LookupError where there is none,
    RuntimeError where the champion changed in the meantime."""
    known = routes(kafka)
    away = known[alias].champion if alias in known else None
    return _apply(kafka, alias, Rollback(away), by, known=known)


def pause(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """Stop automatic retraining and promotion until `resume`; a harmful canary is still withdrawn."""
    return _apply(kafka, alias, Pause(True), by)


def resume(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """Take the pause back."""
    return _apply(kafka, alias, Pause(False), by)


def pause_all(kafka: KafkaSettings, by: str) -> list[RouteWritten]:
    """Pause every alias; one that fails keeps no other from it. Raise RuntimeError at the end, naming those that
    failed."""
    return _everywhere(kafka, Pause(True), by)


def resume_all(kafka: KafkaSettings, by: str) -> list[RouteWritten]:
    """Take every pause back; see `pause_all`."""
    return _everywhere(kafka, Pause(False), by)


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
        return _apply(kafka, alias, Shadow(None), by)
    return _apply(kafka, alias, Shadow(Named(version, digest or _digest(kafka, alias, version), rank)), by, limits)


def sign(
    kafka: KafkaSettings, alias: str, version: str, by: str, *, approves: bool, reason: str = ""
) -> DecisionRecorded:
    """Record a person's signature of a candidate; `by`: the id of their key. The same one given again changes nothing.
    Raise UnknownVersion where no retraining of the alias that may be rolled out made the version, ValueError where a
    refusal has no reason."""
    if not approves and not reason.strip():
        raise ValueError("reason is empty, expected why the candidate is refused: who trains the next one reads it")
    decision = signed(
        _passed(kafka, alias, version), Signature(by=by, approves=approves, time_ms=now_ms(), reason=reason)
    )
    with closing(Appender(kafka, f"homeostat/{by}")) as appender:
        appender.append(LEDGER, decision, id=decision.id, time_ms=decision.time_ms)
    return decision


def _everywhere(kafka: KafkaSettings, change: Change, by: str) -> list[RouteWritten]:
    done, failed = [], []
    for alias in sorted(routes(kafka)):
        try:
            done.append(_apply(kafka, alias, change, by))
        except RuntimeError as error:
            failed.append(str(error))
    if failed:
        raise RuntimeError("; ".join(failed))
    return done


def _apply(
    kafka: KafkaSettings,
    alias: str,
    change: Change,
    by: str,
    limits: EngineLimits | None = None,
    known: Routes | None = None,
) -> RouteWritten:
    """Write the change until it is in force. `known`: the routes, where they were just read. Raise RuntimeError where
    other writers were faster ten times in a row."""
    for attempt in range(ATTEMPTS):
        if known is None or attempt:
            known = routes(kafka)
        route = change(known, alias, limits)
        if route is known.get(alias):
            return route
        route = _write(kafka, known, msgspec.structs.replace(route, by=by), change.action)
        if _won(kafka, route):
            return route
    raise RuntimeError(f"{alias}: others wrote {ATTEMPTS} generations in a row before us; look, and try again")


def _write(kafka: KafkaSettings, known: Routes, route: RouteWritten, action: str) -> RouteWritten:
    """Write the ledger first, then the route: the ledger without the salt, by which anybody could choose an arm."""
    at_ms, before = now_ms(), known.get(route.alias)
    route = msgspec.structs.replace(route, time_ms=at_ms, cause=uuid7(at_ms))
    decision = DecisionRecorded(
        id=route.cause,
        alias=route.alias,
        time_ms=at_ms,
        kind=DecisionKind.OPERATOR,
        function="operator",
        inputs={"action": action, "by": route.by, "route": codec.plain(before and without_salt(before))},
        output=codec.plain(without_salt(route)),
        summary=f"{route.by}: {action} {route.alias}, champion {route.champion}",
    )
    appender = Appender(kafka, f"homeostat/{route.by}")
    try:
        appender.append(LEDGER, decision, id=decision.id, time_ms=at_ms)
        appender.append(ROUTES, route, id=f"{route.cause}/route", time_ms=at_ms)
    finally:
        appender.close()
    return route


def _won(kafka: KafkaSettings, route: RouteWritten) -> bool:
    written = (record.event for record in read(kafka, ROUTES, RouteWritten))
    return any(each.cause == route.cause for each in effective(written))


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
