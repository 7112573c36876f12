"""No way to promotion but through attestation and a quiet canary; every way ends."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.rollout.guard import ReplyOutcome
from serving.rollout.machine import step
from serving.rollout.state import Rollout, RolloutObservation, RolloutState, RolloutStep, WriteRoute, plan
from serving.settings import ControllerSettings
from streams.events import ReplicaAttested, RouteWritten

OLD, NEW = "support-0000000000aa", "support-1111111111bb"
OLD_DIGEST, NEW_DIGEST = "0000000000aa" + "0" * 52, "1111111111bb" + "1" * 52
SETTINGS = ControllerSettings(canary_requests=10, canary_weight=0.5, guard_watch_s=60.0)
GOOD = [ReplyOutcome(True, error=False, slow=False), ReplyOutcome(False, error=False, slow=False)]
BAD = [ReplyOutcome(True, error=True), ReplyOutcome(False, error=False, slow=False)]


def route(**changes: Any) -> RouteWritten:
    first = RouteWritten(alias="support", generation=1, champion=OLD, adapters={OLD: OLD_DIGEST}, time_ms=0, by="test")
    return msgspec.structs.replace(first, **changes)


def attests(
    name: str, now_ms: int, *, new: bool = True, healthy: bool = True, digest: str = NEW_DIGEST
) -> ReplicaAttested:
    return ReplicaAttested(
        replica=name,
        url="http://r",
        time_ms=now_ms,
        healthy=healthy,
        base_model="base",
        versions={OLD: OLD_DIGEST, **({NEW: digest} if new else {})},
        generations={},
    )


class TwoReplicas:
    """The log and two replicas, driven by hand."""

    def __init__(self, options: ControllerSettings = SETTINGS) -> None:
        self.settings, self.now_ms, self.route = options, 1_000_000, route()
        self.rollout: Rollout = plan(self.route, "request", NEW, NEW_DIGEST, self.now_ms)
        self.attested = {"r1": True, "r2": True}
        self.routes = [self.route]

    def look(self, outcomes: list[ReplyOutcome] | None = None, after_s: float = 0.5, **changes: Any) -> RolloutStep:
        self.now_ms += int(after_s * 1000)
        seen = RolloutObservation(
            now_ms=self.now_ms,
            route=self.route,
            replicas=[attests(name, self.now_ms, new=new) for name, new in self.attested.items()],
            outcomes=outcomes or [],
        )
        done = step(self.settings, self.rollout, msgspec.structs.replace(seen, **changes))
        again = msgspec.json.decode(msgspec.json.encode(done), type=RolloutStep)
        assert again == done
        for action in done.actions:
            self.write(action)
        self.rollout = done.rollout
        return done

    def write(self, action: WriteRoute) -> None:
        assert action.generation == self.route.generation + 1
        named = {action.champion, action.canary, action.shadow, action.previous} - {None}
        assert set(action.adapters) == named
        changes = msgspec.structs.asdict(action)
        self.route = msgspec.structs.replace(self.route, **changes)
        self.routes.append(self.route)

    def to(self, state: RolloutState) -> TwoReplicas:
        for _ in range(30):
            if self.rollout.state is state:
                return self
            self.look(GOOD)
        raise AssertionError(f"stuck in {self.rollout.state}, never {state}")


def test_the_straight_way() -> None:
    world = TwoReplicas()
    states = [world.rollout.state]
    for _ in range(14):
        world.look(GOOD)
        states.append(world.rollout.state)
    assert list(dict.fromkeys(states)) == [
        RolloutState.PLANNED,
        RolloutState.LOADING,
        RolloutState.ATTESTED,
        RolloutState.CANARY,
        RolloutState.PROMOTED,
    ]
    seen = [(r.champion, r.canary, r.weight, r.previous) for r in world.routes]
    assert seen == [(OLD, None, 0.0, None), (OLD, NEW, 0.0, None), (OLD, NEW, 0.5, None), (NEW, None, 0.0, OLD)]
    world.look(GOOD, after_s=61)
    assert world.rollout.done
    assert world.rollout.state is RolloutState.PROMOTED


@pytest.mark.parametrize(
    "replicas",
    [
        [],
        [attests("r1", 0), attests("r2", 0, new=False)],
        [attests("r1", 0), attests("r2", 0, digest="f" * 64)],
        [attests("r1", -60_000)],
        [attests("r1", 0, healthy=False)],
    ],
    ids=["none", "one lacks it", "other bytes", "stale", "ill"],
)
def test_without_every_healthy_replicas_attestation_nothing_goes_on(replicas: list[ReplicaAttested]) -> None:
    world = TwoReplicas().to(RolloutState.LOADING)
    moved = [msgspec.structs.replace(r, time_ms=r.time_ms + world.now_ms) for r in replicas]
    assert world.look(replicas=moved).rollout.state is RolloutState.LOADING
    world.look(replicas=moved, after_s=SETTINGS.loading_timeout_s + 1)
    assert world.rollout.state is RolloutState.ABORTED
    assert (world.route.champion, world.route.canary) == (OLD, None)


def test_an_ill_replica_does_not_hold_the_others_up() -> None:
    world = TwoReplicas().to(RolloutState.LOADING)
    world.look(replicas=[attests("r1", world.now_ms), attests("r2", world.now_ms, new=False, healthy=False)])
    assert world.rollout.state is RolloutState.ATTESTED


def test_a_harmful_canary_is_withdrawn() -> None:
    world = TwoReplicas(dataclasses.replace(SETTINGS, canary_requests=1_000)).to(RolloutState.CANARY)
    for _ in range(60):
        world.look(BAD)
    assert world.rollout.state is RolloutState.ABORTED
    assert "errors" in world.rollout.reason
    assert (world.route.champion, world.route.canary, world.route.weight) == (OLD, None, 0.0)
    assert not world.look(BAD).actions


def test_too_few_requests_end_the_canary() -> None:
    world = TwoReplicas().to(RolloutState.CANARY)
    world.look(after_s=SETTINGS.canary_timeout_s + 1)
    assert world.rollout.state is RolloutState.ABORTED


def test_a_harmful_new_champion_is_rolled_back() -> None:
    world = TwoReplicas().to(RolloutState.PROMOTED)
    for _ in range(60):
        world.look(BAD)
    assert world.rollout.state is RolloutState.ROLLED_BACK
    assert world.rollout.done
    assert (world.route.champion, world.route.previous) == (OLD, None)


def test_a_pause_stops_promotion_and_time_but_not_the_guard() -> None:
    world = TwoReplicas().to(RolloutState.CANARY)
    world.route = msgspec.structs.replace(world.route, generation=world.route.generation + 1, paused=True)
    for _ in range(30):
        assert not world.look(GOOD, after_s=100).actions
    resumed = msgspec.structs.replace(world.route, generation=world.route.generation + 1, paused=False)
    paused, world.route = world.route, resumed
    assert world.look(GOOD).rollout.state is RolloutState.PROMOTED
    world = TwoReplicas().to(RolloutState.CANARY)
    world.route = msgspec.structs.replace(paused, generation=world.route.generation + 1)
    for _ in range(60):
        world.look(BAD)
    assert world.rollout.state is RolloutState.ABORTED
    assert world.route.paused


@pytest.mark.parametrize(
    "state", [RolloutState.PLANNED, RolloutState.LOADING, RolloutState.CANARY, RolloutState.PROMOTED]
)
def test_another_writers_route_ends_the_rollout_and_stays(state: RolloutState) -> None:
    world = TwoReplicas().to(state)
    other = "support-222222222222"
    world.route = msgspec.structs.replace(
        world.route, generation=world.route.generation + 1, champion=other, canary=None, weight=0.0, by="operator"
    )
    done = world.look(GOOD)
    assert done.rollout.done
    assert done.actions == []
    assert "operator" in done.rollout.reason


@pytest.mark.parametrize(
    ("others", "passing", "state", "reason"),
    [
        ([], [], RolloutState.LOADING, "candidate is to be loaded"),
        (["billing-aaaaaaaaaaaa"], [], RolloutState.LOADING, "candidate is to be loaded"),
        (["billing-aaaaaaaaaaaa"], ["billing-bbbbbbbbbbbb"], RolloutState.PLANNED, ""),
        (["billing-aaaaaaaaaaaa", "billing-cccccccccccc"], [], RolloutState.ABORTED, "4 versions are wanted at once"),
    ],
    ids=["alone", "room for both", "a canary that passes is waited for", "no room ever"],
)
def test_a_plan_without_a_slot_is_refused(
    others: list[str], passing: list[str], state: RolloutState, reason: str
) -> None:
    world = TwoReplicas(dataclasses.replace(SETTINGS, max_loras=3))
    done = world.look(others=others, passing=passing)
    assert done.rollout.state is state
    assert done.rollout.reason.startswith(reason)
    assert done.rollout.done == (state is RolloutState.ABORTED)
    assert bool(done.actions) == (state is RolloutState.LOADING)


def test_previous_and_shadow_take_slots_too() -> None:
    world = TwoReplicas(dataclasses.replace(SETTINGS, max_loras=3))
    hot = {"support-222222222222": "2" * 64, "support-333333333333": "3" * 64}
    previous, shadow = hot
    adapters = {**world.route.adapters, **hot}
    world.route = msgspec.structs.replace(world.route, previous=previous, shadow=shadow, adapters=adapters)
    done = world.look(others=[])
    assert done.rollout.state is RolloutState.ABORTED
    assert "max_loras is 3" in done.rollout.reason


def test_what_no_engine_may_read_is_no_candidate() -> None:
    done = TwoReplicas().look(others=[], unfit="its rank is 64, max_lora_rank is 16")
    assert (done.rollout.state, done.rollout.reason) == (RolloutState.ABORTED, "its rank is 64, max_lora_rank is 16")


def test_another_canary_is_waited_for_but_not_for_ever() -> None:
    world = TwoReplicas()
    world.route = msgspec.structs.replace(world.route, canary="support-222222222222")
    assert world.look(others=[]).rollout.state is RolloutState.PLANNED
    done = world.look(others=[], after_s=SETTINGS.loading_timeout_s + SETTINGS.canary_timeout_s + 1)
    assert (done.rollout.state, done.actions) == (RolloutState.ABORTED, [])
    assert "support-222222222222 is the canary" in done.rollout.reason


def test_a_replica_that_comes_and_goes_ends_the_loading_in_time() -> None:
    world = TwoReplicas().to(RolloutState.ATTESTED)
    world.attested = {"r1": True, "r2": False}
    assert world.look(others=[]).rollout.state is RolloutState.ATTESTED
    done = world.look(others=[], after_s=SETTINGS.loading_timeout_s + 1)
    assert done.rollout.state is RolloutState.ABORTED
    assert world.route.canary is None


def test_enough_replies_but_a_replica_without_it_is_reported_as_that() -> None:
    world = TwoReplicas().to(RolloutState.CANARY)
    world.attested = {"r1": True, "r2": False}
    world.look(GOOD * 20)
    world.look(after_s=SETTINGS.canary_timeout_s + 1)
    assert world.rollout.reason == "20 canary replies, not attested by every replica within the time"


def test_its_own_route_is_waited_for() -> None:
    world = TwoReplicas()
    before = world.route
    world.look()
    world.route = before
    assert world.look(GOOD) == RolloutStep(world.rollout)


@pytest.mark.slow
@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["good", "bad", "none"]),
            st.booleans(),
            st.booleans(),
            st.booleans(),
            st.sampled_from([0.5, 0.5, 30.0, 200.0]),
        ),
        max_size=40,
    )
)
def test_whatever_happens_promotion_had_attestation_and_a_canary(
    looks: list[tuple[str, bool, bool, bool, float]],
) -> None:
    world = TwoReplicas(dataclasses.replace(SETTINGS, canary_requests=4))
    canary_replies = 0
    for kind, one, two, paused, after_s in looks:
        if paused != world.route.paused:
            world.route = msgspec.structs.replace(world.route, generation=world.route.generation + 1, paused=paused)
            world.rollout = msgspec.structs.replace(world.rollout, generation=world.rollout.generation)
        world.attested = {"r1": one, "r2": two}
        was, outcomes = world.rollout.state, {"good": GOOD, "bad": BAD, "none": []}[kind]
        canary_replies += sum(o.candidate for o in outcomes) if was is RolloutState.CANARY else 0
        done = world.look(outcomes, after_s=after_s)
        assert len(done.actions) <= 1
        if was is not RolloutState.PROMOTED and done.rollout.state is RolloutState.PROMOTED:
            assert was is RolloutState.CANARY
            assert one
            assert two
            assert not paused
            assert canary_replies >= 4
        if done.actions and done.actions[0].champion == NEW:
            assert done.rollout.state is RolloutState.PROMOTED
        if done.rollout.done and done.rollout.state is RolloutState.ABORTED:
            assert (world.route.champion, world.route.canary) == (OLD, None)
