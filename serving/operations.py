"""What an operator may do to an alias's route: promote, roll back, pause, resume. Each is recorded first."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from streams import ledger
from streams.events import DecisionKind, DecisionRecorded, RouteWritten
from streams.identity import uuid7, version_name
from streams.log import Appender, KafkaSettings, read
from streams.topics import LEDGER, ROUTES


def routes(kafka: KafkaSettings) -> dict[str, RouteWritten]:
    """The route in force of each alias: the first record of the highest generation."""
    found: dict[str, RouteWritten] = {}
    for record in read(kafka, ROUTES, RouteWritten):
        current = found.get(record.event.alias)
        if current is None or record.event.generation > current.generation:
            found[record.event.alias] = record.event
    return found


def promote(kafka: KafkaSettings, alias: str, version: str, digest: str, by: str) -> RouteWritten:
    """Makes `version` the champion at once, without a canary; a rollout under way ends. The champion before it stays
    loaded for a rollback. Raises ValueError where version and digest do not belong together."""
    if version != version_name(alias, digest):
        raise ValueError(f"version is {version!r}, expected {version_name(alias, digest)!r} for digest {digest}")
    current = routes(kafka).get(alias)
    if current is None:
        first = RouteWritten(alias=alias, generation=1, champion=version, adapters={version: digest}, time_ms=0, by=by)
        return _write(kafka, None, first, "promote", by)
    if current.champion == version and current.canary is None:
        return current
    previous = current.previous if current.champion == version else current.champion
    adapters = {**current.adapters, version: digest}
    return _change(kafka, current, "promote", by, champion=version, previous=previous, adapters=adapters)


def rollback(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """Gives the previous champion its place back; a canary is withdrawn. LookupError where there is none."""
    current = _current(kafka, alias)
    if current.previous is None:
        raise LookupError(f"alias {alias!r} has no previous champion; name one: homeostat promote {alias} VERSION")
    return _change(kafka, current, "rollback", by, champion=current.previous, previous=None)


def pause(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """No automatic retraining or promotion until `resume`; a harmful canary is still withdrawn."""
    return _pause(kafka, alias, by, paused=True)


def resume(kafka: KafkaSettings, alias: str, by: str) -> RouteWritten:
    """Takes the pause back."""
    return _pause(kafka, alias, by, paused=False)


def _pause(kafka: KafkaSettings, alias: str, by: str, *, paused: bool) -> RouteWritten:
    current = _current(kafka, alias)
    if current.paused == paused:
        return current
    kept = {"canary": current.canary, "weight": current.weight, "paused": paused}
    return _change(kafka, current, "pause" if paused else "resume", by, **kept)


def _current(kafka: KafkaSettings, alias: str) -> RouteWritten:
    known = routes(kafka)
    if alias not in known:
        names = ", ".join(sorted(known)) or "none yet"
        raise LookupError(f"alias {alias!r} has no route; known: {names}. First: homeostat promote {alias} VERSION")
    return known[alias]


def _change(kafka: KafkaSettings, current: RouteWritten, action: str, by: str, **changes: Any) -> RouteWritten:
    """The next generation; without a canary unless `changes` has one."""
    changed = msgspec.structs.replace(current, **{"canary": None, "weight": 0.0, **changes})
    named = (changed.champion, changed.canary, changed.shadow, changed.previous)
    adapters = {version: changed.adapters[version] for version in dict.fromkeys(named) if version is not None}
    changed = msgspec.structs.replace(changed, generation=current.generation + 1, adapters=adapters, by=by)
    return _write(kafka, current, changed, action, by)


def _write(
    kafka: KafkaSettings, before: RouteWritten | None, route: RouteWritten, action: str, by: str
) -> RouteWritten:
    """Ledger first, then the route; RuntimeError where somebody else wrote the generation."""
    now_ms = time.time_ns() // 1_000_000
    route = msgspec.structs.replace(route, time_ms=now_ms, cause=uuid7(now_ms))
    decision = DecisionRecorded(
        id=route.cause,
        alias=route.alias,
        time_ms=now_ms,
        kind=DecisionKind.OPERATOR,
        function="operator",
        inputs={"action": action, "by": by, "route": ledger.plain(before)},
        output=ledger.plain(route),
        summary=f"{by}: {action} {route.alias}, champion {route.champion}",
    )
    appender = Appender(kafka, f"homeostat/{by}")
    try:
        appender.append(LEDGER, decision, id=decision.id, time_ms=now_ms)
        appender.append(ROUTES, route, id=f"{route.cause}/route", time_ms=now_ms)
    finally:
        appender.close()
    if not _won(kafka, route):
        raise RuntimeError(f"{route.alias}: somebody else wrote generation {route.generation}; look, and try again")
    return route


def _won(kafka: KafkaSettings, route: RouteWritten) -> bool:
    same = (r.event for r in read(kafka, ROUTES, RouteWritten) if r.event.alias == route.alias)
    return next(r for r in same if r.generation == route.generation).cause == route.cause
