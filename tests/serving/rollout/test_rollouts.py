"""Which candidates a controller takes up, in which order it writes, and what it remembers."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest

from monitor.settings import TrialSettings
from serving.rollout.alias import new_salt
from serving.rollout.controller import Controller
from serving.rollout.guard import Guard
from serving.rollout.runner import Rollouts
from serving.rollout.state import RolloutState
from serving.routes.follower import Follower
from serving.settings import ControllerSettings
from streams import codec
from streams.events import Event, RouteWritten, ScoreBatch
from streams.identity import adapter_key, uuid7
from streams.kinds import RetrainStatus
from streams.log.read import Record
from streams.log.settings import KafkaSettings
from streams.routes import salt_name
from streams.topics import Topic
from tests.serving.support.adapter_files import store
from tests.serving.support.rollout_world import (
    ALIAS,
    FIRST,
    NEW,
    OLD,
    OTHER,
    OTHER_DIGEST,
    ControllerMember,
    RolloutWorld,
)
from tests.support.folder import in_folder


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.rollout.alias.PATIENCE_S", 0.0)


@pytest.fixture
def world() -> RolloutWorld:
    world = RolloutWorld()
    world.members.pop()
    return world


def member(world: RolloutWorld) -> ControllerMember:
    return world.members[0]


def to(world: RolloutWorld, state: RolloutState) -> None:
    for _ in range(30):
        if world.states == [state]:
            return
        world.pass_s(0.5)
        world.refresh()
        world.replies("good", 2)
        member(world).look()
    raise AssertionError(world.states)


def offer(world: RolloutWorld, **changes: object) -> None:
    member(world).rollouts.offer(msgspec.structs.replace(world.result, **changes))


def test_a_decision_is_in_the_ledger_before_its_route_is_written(world: RolloutWorld) -> None:
    member(world).flaky = "refused"
    member(world).look()
    assert (world.decisions, world.routes) == ([], [FIRST])
    member(world).look()
    assert {each.id for each in world.decisions} >= {each.cause for each in world.routes[1:]}


def test_a_decision_whose_route_was_never_written_is_carried_out_at_the_next_start(world: RolloutWorld) -> None:
    appended = member(world).append

    def dies(topic: Topic, event: Event, *, id: str, time_ms: int) -> None:
        if isinstance(event, RouteWritten):
            raise SystemExit
        appended(topic, event, id=id, time_ms=time_ms)

    member(world).rollouts._context.append = dies
    with pytest.raises(SystemExit):
        member(world).rollouts.tick(world.now_ms)
    assert len(world.decisions) == 1
    assert world.routes == [FIRST]
    member(world).start()
    member(world).look()
    assert world.routes[1].cause == world.decisions[0].id
    assert world.route.canary == NEW


def test_of_several_promotions_only_the_latest_is_worth_a_rollout(world: RolloutWorld) -> None:
    offer(world, request_id="second", candidate=OTHER, digest=OTHER_DIGEST)
    member(world).look()
    assert world.route.canary == OTHER


def test_an_older_promotion_is_not_taken_up_after_a_restart(world: RolloutWorld) -> None:
    offer(world, request_id="second", candidate=OTHER, digest=OTHER_DIGEST)
    member(world).look()
    world.human("promote another")
    member(world).look()
    assert world.over
    member(world).start()  # offers the first one again
    offer(world, request_id="second", candidate=OTHER, digest=OTHER_DIGEST)
    member(world).look()
    assert (world.route.champion, world.route.canary) == (OTHER, None)


def test_a_promotion_that_was_proven_against_another_champion_is_void(world: RolloutWorld) -> None:
    world.pass_s(1)
    world.human("promote another")
    member(world).look()
    assert (world.route.champion, world.route.canary, world.decisions) == (OTHER, None, [])


def test_a_rollout_that_another_controller_ended_is_not_begun_again(world: RolloutWorld) -> None:
    world.members.append(ControllerMember(world, "late"))
    member(world).look()
    assert world.route.canary == NEW
    world.pass_s(world.settings.loading_timeout_s + world.settings.canary_timeout_s + 1)
    member(world).look()
    assert world.route.canary is None
    routes = len(world.routes)
    world.members[1].look()
    assert (world.states, len(world.routes)) == ([None, None], routes)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": RetrainStatus.REJECT},
        {"status": RetrainStatus.INCONCLUSIVE},
        {"candidate": None},
        {"digest": None},
        {"candidate": OTHER},
        {"candidate": OLD, "digest": "a" * 64},
    ],
)
def test_what_is_no_proof_begins_nothing(world: RolloutWorld, changes: dict[str, object]) -> None:
    fresh = Rollouts(world.settings, member(world).table, member(world).append, "controller/x")
    fresh.offer(msgspec.structs.replace(world.result, **changes))
    fresh.tick(world.now_ms)
    assert (world.routes, world.decisions) == ([FIRST], [])


def test_scores_that_come_twice_count_once(world: RolloutWorld) -> None:
    to(world, RolloutState.CANARY)
    record = world.batch("good", 2)
    for _ in range(5):
        member(world).rollouts.score(record)
    member(world).look()
    guard = member(world).rollouts.active[ALIAS].guard
    assert guard is not None
    assert guard.replies == 2


def test_offsets_of_a_topic_made_again_count_from_0_again(world: RolloutWorld) -> None:
    to(world, RolloutState.CANARY)
    for id, first in (("known", 900_000), ("made again", 0)):
        world.offsets = itertools.count(first)
        record = world.batch("good", 2)
        batch = msgspec.structs.replace(record.event, topic_id=id)
        member(world).rollouts.score(Record(record.partition, record.offset, record.timestamp_ms, batch))
    member(world).look()
    guard = member(world).rollouts.active[ALIAS].guard
    assert guard is not None
    assert guard.replies == 4


def test_a_score_of_before_the_canary_counts_nothing(world: RolloutWorld) -> None:
    to(world, RolloutState.CANARY)
    world.replies("failing", 30, age_s=60.0)
    member(world).look()
    assert world.states == [RolloutState.CANARY]


def test_labels_that_come_after_the_promotion_still_roll_it_back(world: RolloutWorld) -> None:
    to(world, RolloutState.CANARY)
    world.replies("right", 5)
    to(world, RolloutState.PROMOTED)
    for _ in range(10):
        world.pass_s(5)
        world.refresh()
        world.replies("wrong", 3)
        member(world).look()
    assert world.route.champion == OLD
    assert "wrong" in world.decisions[-1].summary


def guard(world: RolloutWorld) -> Guard:
    known = member(world).rollouts.active[ALIAS].guard
    assert known is not None
    return known


def test_the_arms_are_drawn_by_a_secret_of_the_rollout(world: RolloutWorld) -> None:
    to(world, RolloutState.CANARY)
    assert (world.route.salt, world.route.weight) == ("a secret of a", 0.5)
    assert new_salt() != new_salt()
    to(world, RolloutState.PROMOTED)
    assert [each.salt for each in world.routes] == ["", "", "a secret of a", ""]


def test_who_reads_the_ledger_knows_no_salt(world: RolloutWorld) -> None:
    to(world, RolloutState.PROMOTED)
    assert world.decisions
    assert not [each for each in world.decisions if b"a secret of" in codec.encode(each)]


def test_of_two_controllers_salts_the_one_in_the_log_counts() -> None:
    world = RolloutWorld()
    for _ in range(6):
        world.pass_s(0.5)
        world.refresh()
        for each in world.members:
            each.tick()  # each of what it has read: both want to write the next generation
        for each in world.members:
            each.look()
        world.replies("good", 1)
    assert {salt_name(world.route.salt)} == {each.rollouts.active[ALIAS].salt for each in world.members}


def test_what_the_champion_answers_for_the_canary_never_promotes_it(world: RolloutWorld) -> None:
    to(world, RolloutState.CANARY)
    for _ in range(5):
        world.replies("standing in", 20)
        world.pass_s(0.5)
        world.refresh()
        member(world).look()
    assert (guard(world).replies, guard(world).drawn) == (0, 100)
    world.pass_s(200)
    world.refresh()
    member(world).look()
    assert world.route.champion == OLD
    assert "0 canary replies, too few within the time" in world.decisions[-1].summary


def test_one_conversations_failures_are_one(world: RolloutWorld) -> None:
    to(world, RolloutState.CANARY)
    for _ in range(10):
        world.follow(world.batch("failing", 20, unit=7))
        member(world).look()
    assert world.states == [RolloutState.CANARY]
    assert guard(world).candidate["errors"].count == 1


def test_what_was_asked_before_the_canary_is_not_compared(world: RolloutWorld) -> None:
    to(world, RolloutState.CANARY)
    begun_ms = member(world).rollouts.active[ALIAS].begun_ms
    for asked_ms, counted in ((begun_ms - 1, 0), (begun_ms, 1)):
        record = world.batch("good", 1, about=[uuid7(asked_ms), uuid7(asked_ms)])
        member(world).rollouts.score(record)
        member(world).look()
        assert guard(world).replies == counted


def test_complaints_are_counted_by_sessions_of_the_arms_drawn() -> None:
    """A whole trial through the scores: the champion's conversations complain, the canary's do not."""
    world = on_trial()
    for turn in range(30):
        answered = world.batch("good", 2)
        ids = answered.event.rows.ids
        world.follow(answered)
        world.follow(world.batch("complaining", 2, about=ids))
        world.pass_s(5)
        world.refresh()
        member(world).look()
        active = member(world).rollouts.active.get(ALIAS)
        if turn == 5:
            assert active is not None
            assert active.trial is not None
            assert 0 < active.trial.sessions < 24, "those of the last half minute have not matured"
    assert world.route.champion == NEW
    assert "trial: complaints of 0.00%, the champion's 100.00%" in " ".join(each.summary for each in world.decisions)


def on_trial() -> RolloutWorld:
    world = RolloutWorld(trial=TrialSettings(allowed=True, session_s=10, wait_s=20, longest_s=3_600))
    world.members.pop()
    world.result = msgspec.structs.replace(world.result, status=RetrainStatus.INCONCLUSIVE, short_of_labels=True)
    member(world).start()
    to(world, RolloutState.CANARY)
    return world


def test_a_controller_that_starts_again_has_the_trial_as_it_was() -> None:
    world, records = on_trial(), list[Record[ScoreBatch]]()
    for turn in range(12):
        answered = world.batch("good", 1, unit=turn // 2)
        complained = world.batch("complaining", 1, about=answered.event.rows.ids)
        told = [answered, complained] if turn % 3 else [answered]
        for record in told:
            world.follow(record)
        records += told
        world.pass_s(5)
        world.refresh()
        member(world).look()
    before = member(world).rollouts.active[ALIAS].trial
    assert before is not None
    assert before.sessions > 0
    member(world).start()
    for record in records:
        world.follow(record)
    member(world).look()
    assert member(world).rollouts.active[ALIAS].trial == before


def test_a_proven_candidate_ends_a_trial_and_is_next() -> None:
    world = on_trial()
    promoted = {"status": RetrainStatus.PROMOTE, "request_id": "proven", "candidate": OTHER, "digest": OTHER_DIGEST}
    offer(world, **promoted)
    member(world).look()
    assert f"trial: {OTHER} is proven by labels" in " ".join(each.summary for each in world.decisions)
    member(world).look()
    assert member(world).rollouts.active[ALIAS].candidate == OTHER
    assert world.route.canary == OTHER


def test_a_rollout_of_a_release_without_salts_gets_one(world: RolloutWorld) -> None:
    world.attest("r1", new=False)  # so that it waits
    member(world).look()
    assert world.states == [RolloutState.LOADING]
    active = member(world).rollouts.active[ALIAS]
    member(world).rollouts._of(ALIAS).recover(msgspec.structs.replace(active, salt=""), None, None)
    world.attest("r1")
    to(world, RolloutState.CANARY)
    assert world.route.salt == "a secret of a"


def test_another_aliass_versions_take_slots(world: RolloutWorld) -> None:
    routes = {letter: f"billing-{letter * 12}" for letter in "cdef"}
    champion, previous, shadow, _ = routes.values()
    billing = msgspec.structs.replace(
        FIRST, alias="billing", champion=champion, previous=previous, shadow=shadow, adapters={}, cause="b"
    )
    world.routes.append(billing)
    member(world).look()
    assert world.over
    assert "max_loras is 4" in world.decisions[-1].summary


def controller(tmp_path: Path) -> Controller:
    kafka = KafkaSettings()
    follower = Follower(kafka, tmp_path / "routes.json")
    return Controller(kafka, ControllerSettings(), follower, "controller/x", in_folder(tmp_path))


def test_a_candidate_that_no_engine_may_read_is_reported_before_it_is_loaded(tmp_path: Path) -> None:
    root = tmp_path
    (_, good), (_, high), (_, bad) = store(root, "1"), store(root, "2", r=64), store(root, "3")
    ((root / adapter_key("support", bad)) / "adapter_model.pt").write_bytes(b"")
    unfit = controller(tmp_path)._unfit
    assert unfit("support", good) == ""
    assert "its rank is 64, max_lora_rank is 16" in unfit("support", high)
    assert "a pickle runs code" in unfit("support", bad)
    assert "expected names of letters" in unfit("support", "../x")
    assert unfit("support", "f" * 64) == "", "not here: the replicas look at their own"
