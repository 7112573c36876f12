"""From a promising candidate to the champion, or not: the rollout as a pure state machine.

`planned -> loading -> attested -> canary -> promoted | aborted`, and `promoted -> rolled_back` while the watch lasts.
Whoever runs it may die at any time: a state change and its action are one record, and the route says what became of
it. What another controller wrote for the same candidate is taken up; what a human wrote ends the rollout, which then
touches nothing. Every state has a time after which it ends; only a pause stops that clock."""

from __future__ import annotations

from typing import Any

import msgspec

from serving.rollout.guard import Verdict, start_guard, start_watch, update_guard, update_watch, verdict, watch_verdict
from serving.rollout.state import Observation, Rollout, Standing, State, Step, WriteRoute, standing
from serving.routes.attestations import everywhere, fresh
from serving.routes.slots import excess, versions
from serving.settings import ControllerSettings
from streams.events import RouteWritten

EDITION = 1  # of `step`: raise it with whatever makes it go on otherwise from the same inputs
EXPECTED = {
    State.LOADING: Standing.LOADING,
    State.ATTESTED: Standing.LOADING,
    State.CANARY: Standing.CANARY,
    State.PROMOTED: Standing.PROMOTED,
}


def step(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    """The next state. Promotion needs every healthy replica's attestation, enough canary replies, a quiet guard and
    an alias that is not paused; there is no other way to it."""
    if rollout.done or observation.route.generation < rollout.generation:
        return Step(rollout)  # over, or its last route is not in the log yet
    stands = standing(rollout, observation)
    if rollout.state is State.PLANNED:
        return _planned(settings, _seen(rollout, observation), observation, stands)
    if stands is not EXPECTED[rollout.state]:
        return _surprised(settings, rollout, observation, stands)
    return _STEPS[rollout.state](settings, _seen(rollout, observation), observation)


def attested(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> bool:
    """Whether every healthy replica, and at least one, serves the candidate's very bytes."""
    healthy = fresh(settings, observation.replicas, observation.now_ms)
    return everywhere(healthy, rollout.candidate, rollout.digest)


def _surprised(settings: ControllerSettings, rollout: Rollout, observation: Observation, stands: Standing) -> Step:
    """The route says something else than this rollout's last step: somebody was faster. The log is right."""
    who = f"generation {observation.route.generation} was written by {observation.route.by}"
    if stands is Standing.LOADING:
        return _went(rollout, State.LOADING, observation, f"loading: {who}")
    if stands is Standing.CANARY:
        return _went(_guarded(settings, rollout), State.CANARY, observation, f"a canary: {who}")
    if stands is Standing.PROMOTED and rollout.guard is not None:
        watched = msgspec.structs.replace(rollout, watch=start_watch(rollout.guard))
        return _went(watched, State.PROMOTED, observation, f"promoted, watched here too: {who}")
    return Step(_over(rollout, _fallen(rollout, observation), observation, who))


def _planned(settings: ControllerSettings, rollout: Rollout, observation: Observation, stands: Standing) -> Step:
    route = observation.route
    if rollout.candidate == route.champion:
        return Step(_over(rollout, State.ABORTED, observation, "already the champion"))
    if stands in (Standing.FOREIGN, Standing.LOADING, Standing.CANARY):
        return _surprised(settings, rollout, observation, stands)
    if route.paused:
        return Step(rollout)
    if why := observation.unfit or _crowded(settings, rollout, observation, passing=False):
        return Step(_over(rollout, State.ABORTED, observation, why))
    waits_for = _occupied(rollout, stands, observation) or _crowded(settings, rollout, observation, passing=True)
    if not waits_for:
        action = _route(route, rollout, canary=rollout.candidate, weight=0.0)
        return _went(rollout, State.LOADING, observation, "candidate is to be loaded", action)
    if _waited_s(rollout, observation) > settings.loading_timeout_s + settings.canary_timeout_s:
        return Step(_over(rollout, State.ABORTED, observation, waits_for))
    return Step(rollout)


def _occupied(rollout: Rollout, stands: Standing, observation: Observation) -> str:
    return f"{observation.route.canary} is the canary" if stands is Standing.OCCUPIED else ""


def _crowded(settings: ControllerSettings, rollout: Rollout, observation: Observation, *, passing: bool) -> str:
    """Why the engines have no slot for the candidate beside all that is wanted, canaries that pass counted or not."""
    if observation.others is None:
        return ""
    route = msgspec.structs.replace(observation.route, canary=None)
    wanted = [*observation.others, *versions([route]), rollout.candidate]
    return excess([*wanted, *observation.passing] if passing else wanted, settings.max_loras)


def _loading(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    if attested(settings, rollout, observation):
        return _went(rollout, State.ATTESTED, observation, "every healthy replica serves the candidate")
    return _unless_late(settings, rollout, observation)


def _attested(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    if observation.route.paused:
        return Step(rollout)
    if not attested(settings, rollout, observation):
        return _unless_late(settings, rollout, observation)  # a replica lost it
    rollout = msgspec.structs.replace(rollout, guard=start_guard(settings.guard_delta, settings.guard_alpha))
    action = _route(observation.route, rollout, canary=rollout.candidate, weight=settings.canary_weight)
    return _went(rollout, State.CANARY, observation, "canary begins", action)


def _unless_late(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    if _waited_s(rollout, observation) > settings.loading_timeout_s:
        return _aborted(rollout, observation, f"not attested by every replica in {settings.loading_timeout_s:g} s")
    return Step(rollout)


def _canary(settings: ControllerSettings, rollout: Rollout, observation: Observation) -> Step:
    assert rollout.guard is not None
    found = verdict(rollout.guard)
    if found.state == "fired":
        return _aborted(rollout, observation, f"guard: {found.reason}")
    if observation.route.paused:
        return Step(rollout)
    enough = rollout.guard.replies >= settings.canary_requests
    if enough and attested(settings, rollout, observation):
        return _promoted(rollout, observation, found)
    if _waited_s(rollout, observation) > settings.canary_timeout_s:
        lacking = "not attested by every replica" if enough else "too few"
        return _aborted(rollout, observation, f"{rollout.guard.replies} canary replies, {lacking} within the time")
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


_STEPS = {State.LOADING: _loading, State.ATTESTED: _attested, State.CANARY: _canary, State.PROMOTED: _watching}


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


def _guarded(settings: ControllerSettings, rollout: Rollout) -> Rollout:
    """With a guard of its own, where it has none yet: what was counted before is not known."""
    guard = rollout.guard or start_guard(settings.guard_delta, settings.guard_alpha)
    return msgspec.structs.replace(rollout, guard=guard)


def _fallen(rollout: Rollout, observation: Observation) -> State:
    """How a rollout ends that somebody else's route overtook. A promotion whose generation is another's never was."""
    if rollout.state is not State.PROMOTED or observation.route.generation == rollout.generation:
        return State.ABORTED
    return State.ROLLED_BACK if observation.route.champion == rollout.champion else State.PROMOTED


def _waited_s(rollout: Rollout, observation: Observation) -> float:
    return (observation.now_ms - rollout.since_ms) / 1000


def _went(
    rollout: Rollout, state: State, observation: Observation, reason: str, action: WriteRoute | None = None
) -> Step:
    generation = action.generation if action else observation.route.generation
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
