"""A candidate's way to the champion's place: its state, an observation, the step that follows."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from serving.rollout.approvals import NeededApproval
from serving.rollout.guard import Guard, PostPromotionGuard, ReplyOutcome
from serving.rollout.trial import ComplaintTrial, Session
from streams.events import ReplicaAttested, RouteWritten
from streams.signatures import Signature


class RolloutState(StrEnum):
    """The states, in the order of the way; the last two are ends."""

    WAITING = "waiting"  # for people's approval
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
    champion: str  # that it would replace
    since_ms: int  # when the state began, or its pause ended
    begun_ms: int = 0  # when the state began
    state: RolloutState = RolloutState.PLANNED
    generation: int = 0  # the last one this rollout wrote or has seen
    salt: str = ""  # the name of the secret by which the arms are drawn (`streams.routes.salt_name`)
    weight: float = 0.0  # the canary's share by which the arms that the guard compares were drawn
    guard: Guard | None = None
    watch: PostPromotionGuard | None = None
    trial: ComplaintTrial | None = None  # where clients' complaints are to settle what the gate left open
    done: bool = False
    reason: str = ""
    approval: NeededApproval | msgspec.UnsetType = msgspec.UNSET  # not written where no person is asked


class RolloutObservation(msgspec.Struct, frozen=True, kw_only=True):
    """The facts at one moment. `outcomes`: those since the step before. `others` is None in the records of a release
    that did not look at slots."""

    now_ms: int
    route: RouteWritten
    replicas: list[ReplicaAttested]
    outcomes: list[ReplyOutcome] = []
    others: list[str] | None = None  # versions that the other aliases' routes want, without
    passing: list[str] = []  # their canaries
    unfit: str = ""  # why no engine may read the candidate
    sessions: list[Session] = []  # of the trial, that matured since the step before
    proven: str = ""  # another candidate, which the gate has passed meanwhile
    signatures: list[Signature] = []  # of people about the candidate, in the log's order, while it waits for them


class WriteRoute(msgspec.Struct, frozen=True, kw_only=True):
    """The route to be written: all fields but time, writer and cause; the salt by its name, for a ledger has it."""

    generation: int
    champion: str
    adapters: dict[str, str]
    canary: str | None = None
    weight: float = 0.0
    salt: str = ""
    shadow: str | None = None
    previous: str | None = None
    paused: bool = False


class RolloutStep(msgspec.Struct, frozen=True):
    """The rollout after a step, and the route to write: `actions` holds at most one."""

    rollout: Rollout
    actions: list[WriteRoute] = []


class CandidateStanding(StrEnum):
    """The candidate's place in the route in force, by any writer."""

    FREE = "free"  # nothing, and it could be the canary
    OCCUPIED = "occupied"  # another is the canary
    LOADING = "loading"  # to be loaded, answers no client
    CANARY = "canary"
    PROMOTED = "promoted"  # by a rollout of the same retraining
    FOREIGN = "foreign"  # another champion than this rollout is about, or the candidate where a human promoted it


def plan(
    route: RouteWritten,
    request_id: str,
    candidate: str,
    digest: str,
    now_ms: int,
    salt: str = "",
    trial: ComplaintTrial | None = None,
    approval: NeededApproval | msgspec.UnsetType = msgspec.UNSET,
) -> Rollout:
    """Return a rollout that has not begun. `salt`: the name of the secret by which its arms will be drawn. `approval`:
    of people, for whom it waits first."""
    return Rollout(
        alias=route.alias,
        request_id=request_id,
        candidate=candidate,
        digest=digest,
        champion=route.champion,
        since_ms=now_ms,
        begun_ms=now_ms,
        state=RolloutState.WAITING if approval else RolloutState.PLANNED,
        generation=route.generation,
        salt=salt,
        trial=trial,
        approval=approval,
    )


def standing(rollout: Rollout, observation: RolloutObservation) -> CandidateStanding:
    """Return where the candidate stands by the log, which alone counts."""
    route = observation.route
    if route.champion == rollout.candidate:
        signed = observation.others is None or route.request == rollout.request_id
        return CandidateStanding.PROMOTED if signed else CandidateStanding.FOREIGN
    if route.champion != rollout.champion:
        return CandidateStanding.FOREIGN
    if route.canary is None:
        return CandidateStanding.FREE
    if route.canary != rollout.candidate or route.adapters.get(rollout.candidate) != rollout.digest:
        return CandidateStanding.OCCUPIED
    return CandidateStanding.CANARY if route.weight > 0 else CandidateStanding.LOADING


def on_route(rollout: Rollout, route: RouteWritten) -> bool:
    """Return whether the route has the candidate on its way, or promoted by a rollout of the same retraining."""
    stands = standing(rollout, RolloutObservation(now_ms=0, route=route, replicas=[], others=[]))
    return stands in (CandidateStanding.LOADING, CandidateStanding.CANARY, CandidateStanding.PROMOTED)


def next_route(
    route: RouteWritten,
    rollout: Rollout,
    *,
    previous: str | None,
    champion: str | None = None,
    canary: str | None = None,
    weight: float = 0.0,
) -> WriteRoute:
    """Return the next generation: as the one before, but for the fields given; without a canary unless one is
    given."""
    champion = champion or route.champion
    known = {**route.adapters, rollout.candidate: rollout.digest}
    wanted = [version for version in (champion, canary, route.shadow, previous) if version is not None]
    return WriteRoute(
        generation=route.generation + 1,
        champion=champion,
        adapters={version: known[version] for version in dict.fromkeys(wanted)},
        canary=canary,
        weight=weight,
        salt=rollout.salt if weight else "",
        shadow=route.shadow,
        previous=previous,
        paused=route.paused,
    )
