"""Where the rollouts stood, by the log alone: what a controller takes up when it starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from serving.rollout.state import Rollout, State, Step, WriteRoute
from streams.events import DecisionRecorded, RouteWritten
from streams.routes import effective

ORDER = list(State)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A decision whose route is in no log yet."""

    decision: DecisionRecorded
    intent: WriteRoute
    request_id: str
    before: Rollout  # the step that decided it


@dataclass(slots=True)
class Recollection:
    """By alias. `handled`: retrainings that some rollout was about."""

    active: dict[str, Rollout] = field(default_factory=dict)
    unwritten: dict[str, Unwritten] = field(default_factory=dict)
    handled: set[str] = field(default_factory=set)
    reigns: dict[str, tuple[str, int]] = field(default_factory=dict)  # the champion, and since when


def recollect(decisions: Iterable[DecisionRecorded], routes: Iterable[RouteWritten]) -> Recollection:
    """Decisions in their order, and all routes. A decision whose route lost its generation is no part of the story;
    one whose route was never written is to be written now. Several controllers tell one story: what one of them says
    of a state that another has left behind is no part of it either."""
    found = Recollection()
    causes: set[str] = set()
    latest: dict[str, int] = {}
    for route in effective(routes):
        latest[route.alias] = route.generation
        causes.add(route.cause)
        found.reigns[route.alias] = reign(found.reigns.get(route.alias), route)
    for decision in decisions:
        _take(found, decision, causes, latest.get(decision.alias, 0))
    return found


def reign(known: tuple[str, int] | None, route: RouteWritten) -> tuple[str, int]:
    """The champion that a route names, and since when it is."""
    if known is not None and known[0] == route.champion:
        return known
    return route.champion, route.time_ms


def _take(found: Recollection, decision: DecisionRecorded, causes: set[str], generation: int) -> None:
    told = msgspec.convert(decision.output, Step)
    found.handled.add(told.rollout.request_id)
    intent = next(iter(told.actions), None)
    unwritten = intent is not None and intent.generation > generation
    if intent is not None and not unwritten and decision.id not in causes:
        return
    before = msgspec.convert(decision.inputs["rollout"], Rollout)
    if _left_behind(found.active.get(decision.alias), before):
        return
    found.unwritten.pop(decision.alias, None)
    if unwritten and intent is not None:
        found.unwritten[decision.alias] = Unwritten(decision, intent, told.rollout.request_id, before)
    if told.rollout.done:
        found.active.pop(decision.alias, None)
    else:
        found.active[decision.alias] = told.rollout


def _left_behind(kept: Rollout | None, before: Rollout) -> bool:
    same = kept is not None and kept.request_id == before.request_id
    return same and kept is not None and ORDER.index(before.state) < ORDER.index(kept.state)
