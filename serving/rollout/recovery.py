"""Where the rollouts stood, by the log alone: a controller continues from there when it starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from serving.rollout.state import Rollout, RolloutState, RolloutStep, WriteRoute
from streams.events import DecisionRecorded, RouteWritten
from streams.routes import effective

ORDER = list(RolloutState)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A decision whose route is in no log yet."""

    decision: DecisionRecorded
    intent: WriteRoute
    request_id: str
    before: Rollout  # the step that decided it


@dataclass(frozen=True, slots=True)
class ChampionSince:
    """An alias's champion, and when the first route that named it was written."""

    version: str
    since_ms: int


@dataclass(slots=True)
class RecoveredRollouts:
    """The rollouts by alias. `handled`: retrainings that some rollout was about."""

    active: dict[str, Rollout] = field(default_factory=dict)
    unwritten: dict[str, Unwritten] = field(default_factory=dict)
    handled: set[str] = field(default_factory=set)
    champions: dict[str, ChampionSince] = field(default_factory=dict)


def recover(decisions: Iterable[DecisionRecorded], routes: Iterable[RouteWritten]) -> RecoveredRollouts:
    """Return the rollouts from the decisions in their order and all routes. A decision whose route lost its generation
    does not count; one whose route was never written is to be written now. Several controllers write one ledger: a
    decision about a state that another controller has left behind does not count either."""
    found = RecoveredRollouts()
    causes: set[str] = set()
    latest: dict[str, int] = {}
    for route in effective(routes):
        latest[route.alias] = route.generation
        causes.add(route.cause)
        found.champions[route.alias] = champion_since(found.champions.get(route.alias), route)
    for decision in decisions:
        _take(found, decision, causes, latest.get(decision.alias, 0))
    return found


def champion_since(known: ChampionSince | None, route: RouteWritten) -> ChampionSince:
    """Return the champion that a route names, and since when it is."""
    if known is not None and known.version == route.champion:
        return known
    return ChampionSince(route.champion, route.time_ms)


def _take(found: RecoveredRollouts, decision: DecisionRecorded, causes: set[str], generation: int) -> None:
    done = msgspec.convert(decision.output, RolloutStep)
    found.handled.add(done.rollout.request_id)
    intent = next(iter(done.actions), None)
    unwritten = intent is not None and intent.generation > generation
    if intent is not None and not unwritten and decision.id not in causes:
        return
    before = msgspec.convert(decision.inputs["rollout"], Rollout)
    if _left_behind(found.active.get(decision.alias), before):
        return
    found.unwritten.pop(decision.alias, None)
    if unwritten and intent is not None:
        found.unwritten[decision.alias] = Unwritten(decision, intent, done.rollout.request_id, before)
    if done.rollout.done:
        found.active.pop(decision.alias, None)
    else:
        found.active[decision.alias] = done.rollout


def _left_behind(kept: Rollout | None, before: Rollout) -> bool:
    same = kept is not None and kept.request_id == before.request_id
    return same and kept is not None and ORDER.index(before.state) < ORDER.index(kept.state)
