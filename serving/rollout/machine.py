"""From a promising candidate to the champion, or not: the rollout as a pure state machine.

`waiting -> planned -> loading -> attested -> canary -> promoted | aborted`, and `promoted -> rolled_back` while the
guard after the promotion lasts; it waits only where people have to approve it. A controller may die at any time: a
state change and its action are one record, and the route shows what became of it. A rollout follows a route that
another controller wrote for the same candidate; a human's route ends it, and it then touches nothing. Every state has a
time after which it ends; only a pause stops that clock, but for the time that people have."""

from __future__ import annotations

from typing import Any

import msgspec

from serving.rollout.approvals import settled
from serving.rollout.guard import (
    HARMS,
    ON_TRIAL,
    Guard,
    GuardVerdict,
    lacking,
    post_promotion_verdict,
    start_guard,
    start_post_promotion,
    update_guard,
    update_post_promotion,
    verdict,
)
from serving.rollout.state import (
    CandidateStanding,
    Rollout,
    RolloutObservation,
    RolloutState,
    RolloutStep,
    WriteRoute,
    next_route,
    standing,
)
from serving.rollout.trial import start_trial, trial_verdict, update_trial
from serving.routes.attestations import everywhere, fresh
from serving.routes.slots import excess, versions
from serving.settings import ControllerSettings

EDITION = 2  # of `step`: raise it with each change that makes it go on otherwise from the same inputs
EXPECTED = {
    RolloutState.LOADING: CandidateStanding.LOADING,
    RolloutState.ATTESTED: CandidateStanding.LOADING,
    RolloutState.CANARY: CandidateStanding.CANARY,
    RolloutState.PROMOTED: CandidateStanding.PROMOTED,
}


def step(settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation) -> RolloutStep:
    """Return the next state. Promotion needs every healthy replica's attestation, enough replies of the canary's own to
    enough clients, a quiet guard and an alias that is not paused; there is no other way to it."""
    if rollout.done or observation.route.generation < rollout.generation:
        return RolloutStep(rollout)  # over, or its last route is not in the log yet
    stands = standing(rollout, observation)
    if rollout.state is RolloutState.WAITING:
        return _waiting(settings, rollout, observation, stands)
    if rollout.state is RolloutState.PLANNED:
        return _planned(settings, _observed(rollout, observation), observation, stands)
    if stands is not EXPECTED[rollout.state]:
        return _follow(settings, rollout, observation, stands)
    return _STEPS[rollout.state](settings, _observed(rollout, observation), observation)


def attested(settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation) -> bool:
    """Return whether every healthy replica, and at least one, serves the candidate's very bytes."""
    healthy = fresh(settings, observation.replicas, observation.now_ms)
    return everywhere(healthy, rollout.candidate, rollout.digest)


def _follow(
    settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation, stands: CandidateStanding
) -> RolloutStep:
    """Follow the route that another controller or a human wrote first."""
    who = f"generation {observation.route.generation} was written by {observation.route.by}"
    if stands is CandidateStanding.LOADING:
        return _moved(rollout, RolloutState.LOADING, observation, f"loading: {who}")
    if stands is CandidateStanding.CANARY:
        return _moved(_guarded(settings, rollout), RolloutState.CANARY, observation, f"a canary: {who}")
    if stands is CandidateStanding.PROMOTED and rollout.guard is not None:
        watched = msgspec.structs.replace(rollout, watch=start_post_promotion(rollout.guard))
        return _moved(watched, RolloutState.PROMOTED, observation, f"promoted, watched here too: {who}")
    return RolloutStep(_ended(rollout, _end_state(rollout, observation), observation, who))


def _waiting(
    settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation, stands: CandidateStanding
) -> RolloutStep:
    """Wait for people: their refusal, the end of their time, or a newer candidate that has passed ends it."""
    assert rollout.approval
    if stands not in (CandidateStanding.FREE, CandidateStanding.OCCUPIED):
        return _follow(settings, rollout, observation, stands)
    found = settled(rollout.approval, observation.signatures, observation.now_ms, observation.proven)
    if found.state == "approved":
        return _moved(rollout, RolloutState.PLANNED, observation, found.reason)
    if found.state == "waiting":
        return RolloutStep(rollout)
    return RolloutStep(_ended(rollout, RolloutState.ABORTED, observation, found.reason))


def _planned(
    settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation, stands: CandidateStanding
) -> RolloutStep:
    route = observation.route
    if rollout.candidate == route.champion:
        return RolloutStep(_ended(rollout, RolloutState.ABORTED, observation, "already the champion"))
    if stands in (CandidateStanding.FOREIGN, CandidateStanding.LOADING, CandidateStanding.CANARY):
        return _follow(settings, rollout, observation, stands)
    if route.paused:
        return RolloutStep(rollout)
    if why := observation.unfit or _crowded(settings, rollout, observation, passing=False):
        return RolloutStep(_ended(rollout, RolloutState.ABORTED, observation, why))
    occupied = f"{route.canary} is the canary" if stands is CandidateStanding.OCCUPIED else ""
    waits_for = occupied or _crowded(settings, rollout, observation, passing=True)
    if not waits_for:
        action = next_route(route, rollout, previous=route.previous, canary=rollout.candidate)
        return _moved(rollout, RolloutState.LOADING, observation, "candidate is to be loaded", action)
    if _waited_s(rollout, observation) > settings.loading_timeout_s + settings.canary_timeout_s:
        return RolloutStep(_ended(rollout, RolloutState.ABORTED, observation, waits_for))
    return RolloutStep(rollout)


def _crowded(settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation, *, passing: bool) -> str:
    """Return why the engines have no slot for the candidate next to all that is wanted, canaries that pass counted or
    not; empty where they have."""
    if observation.others is None:
        return ""
    route = msgspec.structs.replace(observation.route, canary=None)
    wanted = [*observation.others, *versions([route]), rollout.candidate]
    return excess([*wanted, *observation.passing] if passing else wanted, settings.max_loras)


def _loading(settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation) -> RolloutStep:
    if attested(settings, rollout, observation):
        return _moved(rollout, RolloutState.ATTESTED, observation, "every healthy replica serves the candidate")
    return _unless_late(settings, rollout, observation)


def _attested(settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation) -> RolloutStep:
    if observation.route.paused:
        return RolloutStep(rollout)
    if not attested(settings, rollout, observation):
        return _unless_late(settings, rollout, observation)  # a replica lost it
    route, guard = observation.route, start_guard(settings.guard_delta, settings.guard_alpha, _harms(rollout))
    rollout = msgspec.structs.replace(rollout, guard=guard, weight=settings.canary_weight)
    action = next_route(route, rollout, previous=route.previous, canary=rollout.candidate, weight=rollout.weight)
    return _moved(rollout, RolloutState.CANARY, observation, "canary begins", action)


def _unless_late(settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation) -> RolloutStep:
    if _waited_s(rollout, observation) > settings.loading_timeout_s:
        return _aborted(rollout, observation, f"not attested by every replica in {settings.loading_timeout_s:g} s")
    return RolloutStep(rollout)


def _canary(settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation) -> RolloutStep:
    assert rollout.guard is not None
    found = verdict(rollout.guard)
    if found.state == "fired":
        return _aborted(rollout, observation, f"guard: {found.reason}")
    if observation.route.paused:
        return RolloutStep(rollout)
    lacks, longest_s = lacking(rollout.guard, settings.canary_requests), settings.canary_timeout_s
    if rollout.trial is not None:
        tried, longest_s = trial_verdict(rollout.trial), rollout.trial.longest_s
        if tried.state == "worse" or observation.proven:
            why = f"{observation.proven} is proven by labels" if observation.proven else f"worse: {tried.reason}"
            return _aborted(rollout, observation, f"trial: {why}")
        lacks = lacks or ("" if tried.state == "better" else f"trial undecided, {tried.reason}")
    if not lacks and attested(settings, rollout, observation):
        return _promoted(rollout, observation, found)
    if _waited_s(rollout, observation) > longest_s:
        why = lacks or "not attested by every replica"
        return _aborted(rollout, observation, f"{rollout.guard.replies} canary replies, {why} within the time")
    return RolloutStep(rollout)


def _promoted(rollout: Rollout, observation: RolloutObservation, found: GuardVerdict) -> RolloutStep:
    assert rollout.guard is not None
    action = next_route(observation.route, rollout, champion=rollout.candidate, previous=rollout.champion)
    reason = f"{rollout.guard.replies} canary replies, guard quiet at log10 e {found.numbers['log10_e']:g}"
    reason += f"; trial: {trial_verdict(rollout.trial).reason}" if rollout.trial else ""
    rollout = msgspec.structs.replace(rollout, watch=start_post_promotion(rollout.guard))
    return _moved(rollout, RolloutState.PROMOTED, observation, reason, action)


def _watching(settings: ControllerSettings, rollout: Rollout, observation: RolloutObservation) -> RolloutStep:
    assert rollout.watch is not None
    found = post_promotion_verdict(rollout.watch)
    if found.state == "fired" and observation.route.previous == rollout.champion:
        action = next_route(observation.route, rollout, champion=rollout.champion, previous=None)
        back = _moved(rollout, RolloutState.ROLLED_BACK, observation, f"guard: {found.reason}", action)
        return RolloutStep(msgspec.structs.replace(back.rollout, done=True), back.actions)
    if _waited_s(rollout, observation) > settings.guard_watch_s:
        return RolloutStep(_ended(rollout, RolloutState.PROMOTED, observation, "kept: the guard stayed quiet"))
    return RolloutStep(rollout)


_STEPS = {
    RolloutState.LOADING: _loading,
    RolloutState.ATTESTED: _attested,
    RolloutState.CANARY: _canary,
    RolloutState.PROMOTED: _watching,
}


def _observed(rollout: Rollout, observation: RolloutObservation) -> Rollout:
    """Return the rollout with what was observed; while the alias is paused no time runs out."""
    changes: dict[str, Any] = {"generation": observation.route.generation}
    if observation.route.paused and rollout.state is not RolloutState.PROMOTED:
        changes["since_ms"] = max(rollout.since_ms, observation.now_ms)
    if rollout.state is RolloutState.CANARY and rollout.guard is not None:
        changes |= _compared(rollout, rollout.guard, observation)
    if rollout.state is RolloutState.PROMOTED and rollout.watch is not None:
        changes["watch"] = update_post_promotion(rollout.watch, observation.outcomes)
    return msgspec.structs.replace(rollout, **changes)


def _compared(rollout: Rollout, guard: Guard, observation: RolloutObservation) -> dict[str, Any]:
    """Return the guard with the outcomes. Where the route draws the arms in another way than before, the comparison
    starts over: those who changed their arm would count in both."""
    route = observation.route
    if (route.salt, route.weight) == (rollout.salt, rollout.weight):
        trial = rollout.trial and update_trial(rollout.trial, observation.sessions)
        return {"guard": update_guard(guard, observation.outcomes), "trial": trial}
    again = rollout.trial and start_trial(rollout.trial.margin, rollout.trial.alpha, rollout.trial.longest_s)
    drawn = {"salt": route.salt, "weight": route.weight}
    return {"guard": start_guard(guard.delta, guard.alpha, _harms(rollout)), "trial": again, **drawn}


def _guarded(settings: ControllerSettings, rollout: Rollout) -> Rollout:
    """Return the rollout with a guard: a new one where it has none, since earlier counts are not known."""
    guard = rollout.guard or start_guard(settings.guard_delta, settings.guard_alpha, _harms(rollout))
    return msgspec.structs.replace(rollout, guard=guard)


def _harms(rollout: Rollout) -> tuple[str, ...]:
    return ON_TRIAL if rollout.trial else HARMS


def _end_state(rollout: Rollout, observation: RolloutObservation) -> RolloutState:
    """Return the end of a rollout that another writer's route overtook. A promotion whose generation another writer
    has never was one."""
    if rollout.state is not RolloutState.PROMOTED or observation.route.generation == rollout.generation:
        return RolloutState.ABORTED
    return RolloutState.ROLLED_BACK if observation.route.champion == rollout.champion else RolloutState.PROMOTED


def _waited_s(rollout: Rollout, observation: RolloutObservation) -> float:
    return (observation.now_ms - rollout.since_ms) / 1000


def _moved(
    rollout: Rollout,
    state: RolloutState,
    observation: RolloutObservation,
    reason: str,
    action: WriteRoute | None = None,
) -> RolloutStep:
    generation = action.generation if action else observation.route.generation
    now = observation.now_ms
    changed = msgspec.structs.replace(
        rollout, state=state, since_ms=now, begun_ms=now, reason=reason, generation=generation
    )
    return RolloutStep(changed, [action] if action else [])


def _ended(rollout: Rollout, state: RolloutState, observation: RolloutObservation, reason: str) -> Rollout:
    now = observation.now_ms
    return msgspec.structs.replace(rollout, state=state, since_ms=now, begun_ms=now, reason=reason, done=True)


def _aborted(rollout: Rollout, observation: RolloutObservation, reason: str) -> RolloutStep:
    action = next_route(observation.route, rollout, previous=observation.route.previous)
    ended = _ended(rollout, RolloutState.ABORTED, observation, reason)
    return RolloutStep(msgspec.structs.replace(ended, generation=action.generation), [action])
