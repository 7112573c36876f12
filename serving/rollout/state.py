"""A candidate's way to the champion's place: what is known of it, what is observed, what follows."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from serving.rollout.guard import Guard, Outcome, Watch
from streams.events import ReplicaAttested, RouteWritten


class State(StrEnum):
    """In the order of the way; the last two are ends."""

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
    """What is known at one moment. `outcomes`: those since the step before. `others` is None in the records of a
    release that did not look at slots."""

    now_ms: int
    route: RouteWritten
    replicas: list[ReplicaAttested]
    outcomes: list[Outcome] = []
    others: list[str] | None = None  # versions that the other aliases' routes want, but for
    passing: list[str] = []  # their canaries
    unfit: str = ""  # why no engine may read the candidate


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


class Standing(StrEnum):
    """What the route in force says about the candidate, whoever wrote it."""

    FREE = "free"  # nothing, and it could be the canary
    OCCUPIED = "occupied"  # another is the canary
    LOADING = "loading"  # to be loaded, answers nobody
    CANARY = "canary"
    PROMOTED = "promoted"  # by a rollout of the same retraining
    FOREIGN = "foreign"  # another champion than this rollout is about, or the candidate by a human's word


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


def standing(rollout: Rollout, observation: Observation) -> Standing:
    """Where the candidate stands by the log's word, which is the only one that counts."""
    route = observation.route
    if route.champion == rollout.candidate:
        signed = observation.others is None or route.request == rollout.request_id
        return Standing.PROMOTED if signed else Standing.FOREIGN
    if route.champion != rollout.champion:
        return Standing.FOREIGN
    if route.canary is None:
        return Standing.FREE
    if route.canary != rollout.candidate or route.adapters.get(rollout.candidate) != rollout.digest:
        return Standing.OCCUPIED
    return Standing.CANARY if route.weight > 0 else Standing.LOADING


def on_route(rollout: Rollout, route: RouteWritten) -> bool:
    """Whether the route has the candidate on its way, or promoted by a rollout of the same retraining."""
    stands = standing(rollout, Observation(now_ms=0, route=route, replicas=[], others=[]))
    return stands in (Standing.LOADING, Standing.CANARY, Standing.PROMOTED)
