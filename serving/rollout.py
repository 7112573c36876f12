"""From a promising candidate to the champion, or not: the rollout as a pure state machine.

`planned -> loading -> attested -> canary -> promoted | aborted`, and `promoted -> rolled_back` while the watch lasts.
Whoever runs it may die at any time: a state change and its action are one record, and the route says what became of
it. A route that says something else was written by somebody else; the rollout then ends and touches nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from serving.guard import (
    Guard,
    Outcome,
    Verdict,
    Watch,
    start_guard,
    start_watch,
    update_guard,
    update_watch,
    verdict,
    watch_verdict,
)
from serving.settings import ControllerSettings
from streams.events import ReplicaAttested, RouteWritten

STALE_PERIODS = 3  # an attestation older than this many periods says nothing about now
STALE_AT_LEAST_S = 15.0


class State(StrEnum):
    PLANNED = "planned"
    LOADING = "loading"
    ATTESTED = "attested"
    CANARY = "canary"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate's way. `done`: nothing will follow."""

    alias: str
    request_id: str  # the retraining it came from
    candidate: str
    digest: str
    champion: str  # whom it would replace
    since_ms: int  # when the state began, or its pause ended
    begun_ms: int = 0  # when the state began
    state: State = State.PLANNED
    generation: int = 0  # the last one this rollout wrote or has seen
    guard: Guard | None = None
    watch: Watch | None = None
    done: bool = False
    reason: str = ""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at one moment. `outcomes`: those since the step before."""

    now_ms: int
    route: RouteWritten
    replicas: list[ReplicaAttested]
    outcomes: list[Outcome] = []


class WriteRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Make `generation` say this. Everything a route has but time, writer and cause."""

    generation: int
    champion: str
    adapters: dict[str, str]
    canary: str | None = None
    weight: float = 0.0
    shadow: str | None = None
    previous: str | None = None
    paused: bool = False


class Step(msgspec.Struct, frozen=True):
    """What follows; `actions` holds at most one route."""

    rollout: Rollout
    actions: list[WriteRoute] = []


def plan(route: RouteWritten, request_id: str, candidate: str, digest: str, now_ms: int) -> Rollout:
    """A rollout that has not begun."""
    return Rollout(
        alias=route.alias,
        request_id=request_id,
        candidate=candidate,
        digest=digest,
        champion=route.champion,
        since_ms=now_ms,
        begun_ms=now_ms,
        generation=route.generation,
    )


def step(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    """The next state. Promotion needs every healthy replica's attestation, enough canary replies, a quiet guard and
    an alias that is not paused; there is no other way to it."""
    route = observation.route
    if rollout.done or route.generation < rollout.generation:
        return Step(rollout)  # over, or its last route is not in the log yet
    if not _ours(rollout, route):
        return Step(
            _over(rollout, _fallen(rollout), observation, f"generation {route.generation} was written by {route.by}")
        )
    rollout = _seen(rollout, observation)
    return _STEPS[rollout.state](settings, rollout, observation)


def attested(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> bool:
    """Whether every healthy replica, and at least one, serves the candidate's very bytes."""
    healthy = fresh(settings, observation.replicas, observation.now_ms)
    return bool(healthy) and all(replica.versions.get(rollout.candidate) == rollout.digest for replica in healthy)


def fresh(settings: ControllerSettings, replicas: list[ReplicaAttested], now_ms: int) -> list[ReplicaAttested]:
    """The replicas that lately said they are well."""
    oldest = now_ms - 1000 * max(STALE_PERIODS * settings.attest_every_s, STALE_AT_LEAST_S)
    return [replica for replica in replicas if replica.healthy and replica.time_ms >= oldest]


def _planned(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    route = observation.route
    if rollout.candidate == route.champion:
        return Step(_over(rollout, State.ABORTED, observation, "already the champion"))
    if route.canary == rollout.candidate and route.adapters.get(rollout.candidate) == rollout.digest:
        return _adopted(settings, rollout, observation)
    if route.paused or route.canary is not None:
        return Step(rollout)
    action = _route(route, rollout, canary=rollout.candidate, weight=0.0)
    return _went(rollout, State.LOADING, observation, "candidate is to be loaded", action)


def _adopted(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    """Another controller has begun: go on from there, with a guard of our own."""
    if observation.route.weight == 0:
        return _went(rollout, State.LOADING, observation, "found loading")
    rollout = msgspec.structs.replace(rollout, guard=start_guard(settings.guard_delta, settings.guard_alpha))
    return _went(rollout, State.CANARY, observation, "found as a canary; counted afresh")


def _loading(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    if attested(settings, rollout, observation):
        return _went(rollout, State.ATTESTED, observation, "every healthy replica serves the candidate")
    if _waited_s(rollout, observation) > settings.loading_timeout_s:
        return _aborted(rollout, observation, f"not attested by every replica in {settings.loading_timeout_s:g} s")
    return Step(rollout)


def _attested(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    if observation.route.paused:
        return Step(rollout)
    if not attested(settings, rollout, observation):
        return _went(rollout, State.LOADING, observation, "a replica lost the candidate")
    rollout = msgspec.structs.replace(rollout, guard=start_guard(settings.guard_delta, settings.guard_alpha))
    action = _route(observation.route, rollout, canary=rollout.candidate, weight=settings.canary_weight)
    return _went(rollout, State.CANARY, observation, "canary begins", action)


def _canary(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    assert rollout.guard is not None
    found = verdict(rollout.guard)
    if found.state == "fired":
        return _aborted(rollout, observation, f"guard: {found.reason}")
    if observation.route.paused:
        return Step(rollout)
    if rollout.guard.replies >= settings.canary_requests and attested(settings, rollout, observation):
        return _promoted(rollout, observation, found)
    if _waited_s(rollout, observation) > settings.canary_timeout_s:
        return _aborted(rollout, observation, f"{rollout.guard.replies} canary replies, too few within the time")
    return Step(rollout)


def _promoted(rollout: Rollout, observation: Observation, found: Verdict) -> Step:
    assert rollout.guard is not None
    action = _route(observation.route, rollout, champion=rollout.candidate, previous=rollout.champion)
    reason = f"{rollout.guard.replies} canary replies, guard quiet at log10 e {found.numbers['log10_e']:g}"
    rollout = msgspec.structs.replace(rollout, watch=start_watch(rollout.guard))
    return _went(rollout, State.PROMOTED, observation, reason, action)


def _watching(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    assert rollout.watch is not None
    found = watch_verdict(rollout.watch)
    if found.state == "fired" and observation.route.previous == rollout.champion:
        action = _route(observation.route, rollout, champion=rollout.champion, previous=None)
        back = _went(rollout, State.ROLLED_BACK, observation, f"guard: {found.reason}", action)
        return Step(msgspec.structs.replace(back.rollout, done=True), back.actions)
    if _waited_s(rollout, observation) > settings.guard_watch_s:
        return Step(_over(rollout, State.PROMOTED, observation, "kept: the guard stayed quiet"))
    return Step(rollout)


_STEPS = {
    State.PLANNED: _planned,
    State.LOADING: _loading,
    State.ATTESTED: _attested,
    State.CANARY: _canary,
    State.PROMOTED: _watching,
}


def _seen(rollout: Rollout, observation: Observation) -> Rollout:
    """With what was observed; while the alias is paused no time runs out."""
    changes: dict[str, Any] = {"generation": observation.route.generation}
    if observation.route.paused and rollout.state is not State.PROMOTED:
        changes["since_ms"] = max(rollout.since_ms, observation.now_ms)
    if rollout.state is State.CANARY and rollout.guard is not None:
        changes["guard"] = update_guard(rollout.guard, observation.outcomes)
    if rollout.state is State.PROMOTED and rollout.watch is not None:
        changes["watch"] = update_watch(rollout.watch, observation.outcomes)
    return msgspec.structs.replace(rollout, **changes)


def _ours(rollout: Rollout, route: RouteWritten) -> bool:
    """Whether the route says what this rollout's last step made it say."""
    match rollout.state:
        case State.PLANNED:
            return route.champion in (rollout.champion, rollout.candidate)
        case State.LOADING | State.ATTESTED:
            return (route.champion, route.canary, route.weight) == (rollout.champion, rollout.candidate, 0.0)
        case State.CANARY:
            return (route.champion, route.canary) == (rollout.champion, rollout.candidate) and route.weight > 0
        case _:
            return route.champion == rollout.candidate


def _fallen(rollout: Rollout) -> State:
    """How a rollout ends that somebody else's route overtook."""
    return State.PROMOTED if rollout.state is State.PROMOTED else State.ABORTED


def _waited_s(rollout: Rollout, observation: Observation) -> float:
    return (observation.now_ms - rollout.since_ms) / 1000


def _went(
    rollout: Rollout, state: State, observation: Observation, reason: str, action: WriteRoute | None = None
) -> Step:
    generation = action.generation if action else rollout.generation
    now = observation.now_ms
    changed = msgspec.structs.replace(
        rollout, state=state, since_ms=now, begun_ms=now, reason=reason, generation=generation
    )
    return Step(changed, [action] if action else [])


def _over(rollout: Rollout, state: State, observation: Observation, reason: str) -> Rollout:
    now = observation.now_ms
    return msgspec.structs.replace(rollout, state=state, since_ms=now, begun_ms=now, reason=reason, done=True)


def _aborted(rollout: Rollout, observation: Observation, reason: str) -> Step:
    action = _route(observation.route, rollout)
    over = _over(rollout, State.ABORTED, observation, reason)
    return Step(msgspec.structs.replace(over, generation=action.generation), [action])


KEEP = "\0keep"


def _route(
    route: RouteWritten,
    rollout: Rollout,
    *,
    champion: str | None = None,
    canary: str | None = None,
    weight: float = 0.0,
    previous: str | None = KEEP,
) -> WriteRoute:
    """The next generation: as the one before, but for what is given; without a canary unless one is given."""
    champion = champion or route.champion
    previous = route.previous if previous == KEEP else previous
    known = {**route.adapters, rollout.candidate: rollout.digest}
    wanted = [version for version in (champion, canary, route.shadow, previous) if version is not None]
    return WriteRoute(
        generation=route.generation + 1,
        champion=champion,
        adapters={version: known[version] for version in dict.fromkeys(wanted)},
        canary=canary,
        weight=weight,
        shadow=route.shadow,
        previous=previous,
        paused=route.paused,
    )
