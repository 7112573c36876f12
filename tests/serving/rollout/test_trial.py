"""Complaints decide between two arms drawn at random, and only what the gate left open for want of labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest

from monitor.settings import TrialSettings
from serving.rollout.guard import ReplyOutcome
from serving.rollout.machine import step
from serving.rollout.outcomes import outcomes
from serving.rollout.senders import Senders
from serving.rollout.sessions import Sessions
from serving.rollout.state import Rollout, RolloutObservation, RolloutState, plan
from serving.rollout.trial import (
    ComplaintTrial,
    Session,
    sessions_needed,
    start_trial,
    trial_verdict,
    update_trial,
)
from streams.events import RetrainReported
from streams.kinds import RetrainStatus
from tests.serving.rollout.test_rollout import GOOD, TwoReplicas
from tests.serving.support.rollout_world import ALIAS, NEW, NEW_DIGEST, OLD, OTHER, OTHER_DIGEST, RolloutWorld

MARGIN, ALPHA = 0.1, 0.05


def fresh() -> ComplaintTrial:
    return start_trial(MARGIN, ALPHA, 1_000.0)


def told(
    rng: np.random.Generator, rates: tuple[float, float], most: int, replies: int = 1, weight: float = 0.5
) -> tuple[str, int]:
    """The verdict, and after how many sessions. `rates`: of complaints, the champion's and the canary's; sessions
    differ in how much people complain at all, and have up to so many replies. `weight`: the canary's share."""
    trial = fresh()
    for seen in range(0, most, 100):
        arms, temper = rng.random(100) < weight, rng.choice([0.2, 1.8], 100)
        sizes = rng.integers(1, replies + 1, 100)
        complained = rng.binomial(sizes, np.clip(np.where(arms, rates[1], rates[0]) * temper, 0, 1))
        sessions = [Session(bool(a), float(n / k)) for a, n, k in zip(arms, complained, sizes, strict=True)]
        trial = update_trial(trial, sessions)
        if (verdict := trial_verdict(trial).state) != "open":
            return verdict, seen + 100
    return "open", most


def verdicts(
    rates: tuple[float, float], most: int, runs: int = 40, replies: int = 1, weight: float = 0.5
) -> list[tuple[str, int]]:
    return [told(np.random.default_rng(seed), rates, most, replies, weight) for seed in range(runs)]


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "replies"), [(0.2, 1), (0.2, 6), (0.05, 1)])
def test_a_candidate_that_is_no_better_than_the_margin_seldom_passes(rate: float, replies: int) -> None:
    """The hardest: complaints fell by exactly the margin. Looked at every 100 sessions, 40 seeds, 2,000 sessions."""
    found = verdicts((rate, rate * (1 - MARGIN)), 2_000, replies=replies)
    assert sum(verdict == "better" for verdict, _ in found) <= 2 * ALPHA * 40
    same = verdicts((rate, rate), 2_000, replies=replies)
    assert sum(verdict == "better" for verdict, _ in same) <= ALPHA * 40
    assert sum(verdict == "worse" for verdict, _ in same) <= ALPHA * 40


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.05, 0.9])
def test_unequal_arms_keep_the_level_and_take_as_long_as_planned(weight: float) -> None:
    """Each session of the canary is set against the mean of the champion's since the one before."""
    at_margin = verdicts((0.2, 0.2 * (1 - MARGIN)), 4_000, runs=100, weight=weight)
    assert sum(verdict == "better" for verdict, _ in at_margin) <= ALPHA * 100
    same = verdicts((0.2, 0.2), 4_000, runs=100, weight=weight)
    assert max(sum(verdict == side for verdict, _ in same) for side in ("better", "worse")) <= ALPHA * 100
    needed = sessions_needed(0.2, 0.5, MARGIN, ALPHA, weight)
    assert needed is not None
    found = verdicts((0.2, 0.1), needed + 100, weight=weight)
    assert sum(verdict == "better" for verdict, _ in found) >= 0.8 * 40


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.2, 0.05])
def test_a_candidate_with_half_the_complaints_passes_within_the_planned_sessions(rate: float) -> None:
    needed = sessions_needed(rate, 0.5, MARGIN, ALPHA, 0.5)
    assert needed is not None
    found = verdicts((rate, rate / 2), needed + 100, replies=1)
    assert sum(verdict == "better" for verdict, _ in found) >= 0.8 * 40
    assert sum(verdict == "worse" for verdict, _ in found) == 0


@pytest.mark.slow
def test_a_candidate_with_twice_the_complaints_ends_it() -> None:
    assert all(verdict == "worse" for verdict, _ in verdicts((0.1, 0.2), 4_000, runs=20))


def test_people_who_never_complain_decide_nothing() -> None:
    trial = update_trial(fresh(), [Session(i % 2 == 0, 0.0) for i in range(5_000)])
    assert trial_verdict(trial).state == "open"


def test_sessions_in_any_cut_give_the_same_and_go_through_json() -> None:
    rng = np.random.default_rng(3)
    sessions = [Session(bool(rng.random() < 0.5), float(rng.integers(0, 3)) / 2) for _ in range(60)]
    whole, cut = update_trial(fresh(), sessions), fresh()
    for at in range(0, 60, 7):
        cut = msgspec.json.decode(msgspec.json.encode(update_trial(cut, sessions[at : at + 7])), type=ComplaintTrial)
    assert trial_verdict(cut) == trial_verdict(whole)


def test_a_session_is_one_of_its_conversation_and_has_an_end() -> None:
    sessions = Sessions(session_s=60.0, wait_s=600.0)
    for id, unit, at_s in (("a", 7, 0), ("b", 7, 59), ("c", 7, 60), ("alone", 0, 5)):
        sessions.reply(id, unit, candidate=unit == 7, at_ms=at_s * 1_000)
    for id, at_ms in (("b", 60_000), ("b", 70_000), ("c", 70_000), ("never seen", 0), ("a", 660_000)):
        sessions.complaint(id, at_ms)  # the last one comes too late
    assert sessions.matured(659_999) == []
    assert sessions.matured(660_000) == [Session(True, 0.5)]
    sessions.complaint("a", 650_000)
    sessions.reply("d", 7, candidate=True, at_ms=700_000)
    assert sessions.matured(10**9) == [Session(False, 0.0)]
    assert sessions.matured(10**10) == [], "each has one session"


class TestMachine:
    """The place of a trial in the rollout."""

    def world(self) -> TwoReplicas:
        world = TwoReplicas()
        world.rollout = msgspec.structs.replace(world.rollout, salt="5f", trial=start_trial(MARGIN, ALPHA, 1_000.0))
        world.to(RolloutState.CANARY)
        for _ in range(20):
            world.look(GOOD)
        assert world.rollout.state is RolloutState.CANARY, "a quiet guard alone promotes no candidate on trial"
        return world

    def test_fewer_complaints_promote(self) -> None:
        world = self.world()
        world.look(sessions=[Session(i % 2 == 0, float(i % 2)) for i in range(60)])
        assert world.rollout.state is RolloutState.PROMOTED
        assert "trial: complaints of 0.00%, the champion's 100.00%, in 60 sessions" in world.rollout.reason

    def test_fewer_complaints_promote_no_canary_that_fails(self) -> None:
        world, failing = self.world(), [ReplyOutcome(True, error=True), ReplyOutcome(False, error=False)]
        world.look(failing * 60, sessions=[Session(i % 2 == 0, float(i % 2)) for i in range(60)])
        assert world.rollout.state is RolloutState.ABORTED

    def test_answers_with_a_flag_abort_and_fewer_complaints_do_not_help(self) -> None:
        """Which of a candidate that labels have proven says nothing."""
        world = self.world()
        flagged = [ReplyOutcome(arm, error=False, slow=False, flagged=arm) for arm in (True, False)]
        world.look(flagged * 40, sessions=[Session(i % 2 == 0, float(i % 2)) for i in range(60)])
        assert world.rollout.state is RolloutState.ABORTED
        assert world.rollout.reason.startswith("guard: flagged")
        proven = TwoReplicas().to(RolloutState.CANARY)
        proven.look(flagged * 40)
        assert proven.rollout.state is RolloutState.PROMOTED

    def test_more_complaints_abort(self) -> None:
        world = self.world()
        world.look(sessions=[Session(i % 2 == 0, float(i % 2 == 0)) for i in range(60)])
        assert world.rollout.state is RolloutState.ABORTED
        assert world.rollout.reason.startswith("trial: worse: complaints of 100.00%")

    def test_an_open_trial_ends_without_a_promotion(self) -> None:
        world = self.world()
        world.look(after_s=990)
        assert world.rollout.state is RolloutState.CANARY, "it has its own time, not the canary's"
        done = world.look(after_s=20)
        assert done.rollout.state is RolloutState.ABORTED
        assert "trial undecided" in done.rollout.reason

    def test_a_candidate_proven_by_labels_goes_first(self) -> None:
        world = self.world()
        world.look(proven="support-2222222222cc")
        assert (world.rollout.state, world.rollout.done) == (RolloutState.ABORTED, True)
        assert world.rollout.reason == "trial: support-2222222222cc is proven by labels"

    @pytest.mark.parametrize("drawn", [{"salt": "other"}, {"weight": 0.9}])
    def test_where_the_arms_change_both_comparisons_start_over(self, drawn: dict[str, Any]) -> None:
        world = self.world()
        world.look(sessions=[Session(True, 0.0)] * 5)
        world.route = msgspec.structs.replace(world.route, **drawn)
        world.look(GOOD, sessions=[Session(True, 0.0)])
        assert world.rollout.guard is not None
        assert world.rollout.trial is not None
        assert (world.rollout.guard.replies, world.rollout.trial.sessions) == (0, 0)
        world.look(GOOD)
        assert world.rollout.guard.replies == 1


def result(**changes: Any) -> RetrainReported:
    return msgspec.structs.replace(
        RolloutWorld().result, **{"status": RetrainStatus.INCONCLUSIVE, "short_of_labels": True, **changes}
    )


def offered(*results: RetrainReported, allowed: bool = True) -> Rollout | None:
    world = RolloutWorld()
    rollouts = world.members[0].rollouts
    rollouts._context = dataclasses.replace(rollouts._context, trial=TrialSettings(allowed=allowed))
    rollouts._aliases.clear()
    rollouts._offered.clear()
    for each in results:
        rollouts.offer(each)
    rollouts.tick(world.now_ms)
    return rollouts.active.get(ALIAS)


def test_what_lacks_nothing_but_labels_is_tried_where_that_is_allowed() -> None:
    rollout = offered(result())
    assert rollout is not None
    assert rollout.trial is not None
    assert offered(result(), allowed=False) is None


@pytest.mark.parametrize(
    "changes",
    [{"short_of_labels": False}, {"status": RetrainStatus.REJECT}, {"status": RetrainStatus.FAILED}],
)
def test_a_trial_overrides_no_verdict(changes: dict[str, Any]) -> None:
    assert offered(result(**changes)) is None


def test_a_candidate_to_try_takes_the_place_of_none_that_is_proven() -> None:
    proven = result(status=RetrainStatus.PROMOTE, request_id="first", candidate=OTHER, digest=OTHER_DIGEST)
    rollout = offered(proven, result(request_id="second", candidate=NEW, digest=NEW_DIGEST))
    assert rollout is not None
    assert (rollout.candidate, rollout.trial) == (OTHER, None)


def test_an_answer_with_a_flag_or_cut_off_is_flagged_on_trial() -> None:
    world = RolloutWorld()
    record, trial = world.batch("good", 2), start_trial(MARGIN, ALPHA, 60.0)
    rows = msgspec.structs.replace(
        record.event.rows,
        statuses=[200, 200, 200, 503],
        finish_reasons=["stop", "stop", "length", ""],
        descriptors=[[5.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]],
    )
    batch = msgspec.structs.replace(record.event, rows=rows, descriptor_names=["output_chars", "output_pii"])
    rollout = plan(world.route, "request", NEW, NEW_DIGEST, 0, "5f", trial)
    found = outcomes(batch, rollout, 1_000.0, 0, Senders())
    assert [each.flagged for each in found] == [False, True, True, None]
    proven = plan(world.route, "request", NEW, NEW_DIGEST, 0, "5f")
    assert [each.flagged for each in outcomes(batch, proven, 1_000.0, 0, Senders())] == [None] * 4


def test_the_observation_of_a_trial_is_all_that_decides() -> None:
    """An empty observation leaves an empty trial as it is: replay needs no memory of sessions."""
    world = TestMachine().world()
    seen = RolloutObservation(now_ms=world.now_ms, route=world.route, replicas=[])
    assert step(world.settings, world.rollout, seen).rollout.trial == world.rollout.trial
    assert world.rollout.champion != OLD
