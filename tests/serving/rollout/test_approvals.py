"""A candidate waits for people where the policy says so, and is counted once whatever is killed meanwhile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from monitor.settings import PolicySettings
from retrain.registry.approvals import RegistryApproval, decision
from serving.rollout.approvals import Approval, ApprovalRule, NeededApproval, settled
from serving.rollout.state import RolloutState
from streams.signatures import MLFLOW, Signature
from tests.serving.support.rollout_world import APPROVAL_S, NEW, NEW_DIGEST, RolloutWorld


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.rollout.alias.PATIENCE_S", 0.0)


def looked(world: RolloutWorld) -> list[RolloutState | None]:
    for member in world.members:
        member.look()
    return world.states


def signature(by: str, **changes: Any) -> Signature:
    return msgspec.structs.replace(Signature(by=by, approves=True, time_ms=1), **changes)


@pytest.mark.parametrize(
    ("signatures", "now_ms", "state"),
    [
        ([], 10, "waiting"),
        ([signature("ann"), signature("ann")], 10, "waiting"),
        ([signature("ann"), signature("bob")], 10, "approved"),
        ([signature("ann"), signature("bob", approves=False), signature("carl")], 10, "refused"),
        ([signature("ann"), signature("bob"), signature("carl", approves=False)], 10, "approved"),
        ([signature("ann")], 101, "expired"),
        ([signature("ann"), signature("bob", time_ms=101)], 102, "expired"),
        ([signature("ann"), signature("bob")], 1_000, "approved"),
        ([signature("ann"), signature(f"{MLFLOW}bob")], 10, "approved"),
        ([signature(f"{MLFLOW}bob"), signature("ann")], 10, "approved"),
        ([signature(f"{MLFLOW}ann"), signature(f"{MLFLOW}bob")], 10, "waiting"),
        ([signature(f"{MLFLOW}Ann"), signature("ann")], 10, "waiting"),
        ([signature(f"{MLFLOW}ann"), signature(f"{MLFLOW}bob"), signature("ann")], 10, "approved"),
    ],
)
def test_two_different_people_approve_in_time_and_the_first_refusal_ends_it(
    signatures: list[Signature], now_ms: int, state: str
) -> None:
    assert settled(NeededApproval(people=2, until_ms=100), signatures, now_ms).state == state


def test_who_signed_and_why_is_in_the_reason() -> None:
    refusal = signature("ann", approves=False, reason="it invents fees")
    assert settled(NeededApproval(people=1, until_ms=9), [refusal], 1) == Approval(
        "refused", "refused by ann: it invents fees"
    )


@pytest.mark.parametrize("people", [1, 2])
def test_nothing_is_loaded_before_so_many_have_approved(people: int) -> None:
    world = RolloutWorld(people=people)
    for person in ("ann", "bob")[:people]:
        assert looked(world) == [RolloutState.WAITING] * 2
        assert world.route.canary is None
        for _ in range(2):
            world.signs(person)
    looked(world)
    assert world.states == [RolloutState.CANARY] * 2 or world.route.canary is not None
    assert len(world.routes) > 1
    signed = [each for each in world.decisions if each.output["rollout"]["state"] == "planned"]
    assert {each.output["rollout"]["reason"] for each in signed} == {
        "approved by ann" if people == 1 else "approved by ann and bob"
    }
    assert signed[0].inputs["observation"]["signatures"][0]["time_ms"] == world.now_ms


def test_an_approval_in_mlflow_begins_the_rollout_as_a_key_s_does() -> None:
    world = RolloutWorld(people=1)
    looked(world)
    given = RegistryApproval(
        alias=world.result.alias, version=world.result.candidate or "", digest=NEW_DIGEST, by="ann"
    )
    for member in world.members:
        member.rollouts.sign(msgspec.structs.replace(decision(given, world.result, world.now_ms), output={"odd": 1}))
    assert looked(world) == [RolloutState.WAITING] * 2, "what is no signature is left out"
    for member in world.members:
        member.rollouts.sign(decision(given, world.result, world.now_ms))
    looked(world)
    assert world.route.canary == NEW


def test_where_only_people_act_a_candidate_waits_for_one_and_then_goes_its_way() -> None:
    assert [PolicySettings(mode="observe", approvals=each).people for each in (0, 1, 2)] == [1, 1, 2]
    assert [PolicySettings(approvals=each).people for each in (0, 1, 2)] == [0, 1, 2]
    world = RolloutWorld(people=PolicySettings(mode="observe").people)
    for _ in range(3):
        assert looked(world) == [RolloutState.WAITING] * 2
    assert world.route.canary is None
    world.signs("ann")
    looked(world)
    assert world.route.canary is not None


def test_a_candidate_that_waits_goes_its_way_once_the_controllers_act_and_a_refused_one_does_not() -> None:
    for refused in (False, True):
        world = RolloutWorld(people=PolicySettings(mode="observe").people)
        assert looked(world) == [RolloutState.WAITING] * 2
        if refused:
            world.signs("ann", approves=False)
            looked(world)
        world.approval = ApprovalRule(PolicySettings(mode="act").people)
        for member in world.members:
            member.start()
        looked(world)
        assert world.route.canary == (None if refused else NEW)


def test_controllers_that_are_killed_count_each_signature_once() -> None:
    world = RolloutWorld(people=2)
    looked(world)
    world.signs("ann")
    for member in world.members:
        member.start()
    assert looked(world) == [RolloutState.WAITING] * 2
    world.signs("bob")
    for member in world.members:
        member.start()
    looked(world)
    assert world.route.canary is not None
    assert [each.generation for each in world.routes] == sorted({each.generation for each in world.routes})
    for member in world.members:
        member.start()
    assert RolloutState.WAITING not in looked(world), "what was approved stays so"


def test_a_restart_gives_nobody_more_time() -> None:
    world = RolloutWorld(people=1)
    looked(world)
    world.pass_s(APPROVAL_S - 1)
    for member in world.members:
        member.start()
    assert looked(world) == [RolloutState.WAITING] * 2
    world.pass_s(2)
    looked(world)
    assert world.over
    assert "approved by 0 of 1 people in time" in world.decisions[-1].summary
    world.signs("ann")
    for member in world.members:
        member.start()
    looked(world)
    assert world.over, "it is over for good"


def test_a_refusal_ends_the_candidate_for_good() -> None:
    world = RolloutWorld(people=2)
    world.signs("ann")
    looked(world)
    world.signs("bob", approves=False, reason="it is rude")
    looked(world)
    assert world.over
    assert world.decisions[-1].output["rollout"]["reason"] == "refused by bob: it is rude"
    world.signs("carl")
    for member in world.members:
        member.start()
    looked(world)
    assert world.over
    assert len(world.routes) == 1


def test_a_human_who_promotes_another_ends_the_wait() -> None:
    world = RolloutWorld(people=1)
    looked(world)
    world.human("promote another")
    looked(world)
    assert world.over


def test_a_newer_candidate_that_has_passed_takes_the_place_of_one_that_waits() -> None:
    world = RolloutWorld(people=1)
    looked(world)
    other = "d" * 64
    newer = msgspec.structs.replace(
        world.result, request_id="newer", candidate=f"support-{other[:12]}", digest=other, time_ms=world.now_ms + 1
    )
    for member in world.members:
        member.rollouts.offer(newer)
    for _ in range(2):
        looked(world)
    active = [member.rollouts.active["support"] for member in world.members]
    assert {each.candidate for each in active} == {newer.candidate}
    world.signs("ann")
    assert looked(world) == [RolloutState.WAITING] * 2, f"that was for {NEW_DIGEST[:12]}"


def test_without_the_rule_a_record_is_as_it_was() -> None:
    world = RolloutWorld()
    looked(world)
    assert world.route.canary is not None
    assert all("approval" not in each.output["rollout"] for each in world.decisions)
