from __future__ import annotations

from dataclasses import asdict, replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.findings import Kind
from monitor.policy import (
    DAY_MS,
    Annotate,
    AskLabels,
    AskRetraining,
    Decision,
    NewAlarm,
    PolicyObservation,
    PolicyState,
    Result,
    Status,
    decide,
    request_id,
)
from monitor.settings import PolicySettings

SETTINGS = PolicySettings(min_fresh_labels=100, cool_down_s=3_600, budget_per_day=3)
HOUR_MS = 3_600_000


class PolicyRun:
    """Lets time pass and tells the policy what happened."""

    def __init__(self, settings: PolicySettings = SETTINGS) -> None:
        self.settings, self.state, self.now_ms = settings, PolicyState(), DAY_MS
        self.decisions: list[Decision] = []

    def see(
        self,
        *kinds: Kind,
        fresh: int = 0,
        champion: str = "v1",
        result: tuple[int, Status] | None = None,
        after_ms: int = 1_000,
        paused: bool = False,
        cleared: str = "",
        number: int = 1,
    ) -> list[Decision]:
        self.now_ms += after_ms
        seen = PolicyObservation(
            champion=champion,
            time_ms=self.now_ms,
            alarms=[
                NewAlarm(alarm_id=f"{kind}-{number}", kind=kind, version="v1", onset_ms=5 * number) for kind in kinds
            ],
            cleared=[cleared] if cleared else [],
            fresh_labels=fresh,
            result=Result(request_id=request_id("quality-1", result[0]), status=result[1]) if result else None,
            paused=paused,
        )
        self.state, decisions = decide(self.settings, self.state, seen)
        self.decisions += decisions
        return decisions

    def asked(self) -> list[AskRetraining]:
        return [each for each in self.decisions if isinstance(each, AskRetraining)]


def test_proven_harm_with_labels_enough_asks_for_a_retraining_once() -> None:
    run = PolicyRun()
    run.see("quality", fresh=100)
    run.see(fresh=500)
    (asked,) = run.asked()
    assert (asked.alarm_id, asked.version, asked.since_ms, asked.attempt) == ("quality-1", "v1", 5, 1)
    assert asked.request_id == request_id("quality-1", 1)


def test_too_few_labels_are_asked_for_and_waited_for() -> None:
    run = PolicyRun()
    (wanted,) = run.see("quality", fresh=30)
    assert isinstance(wanted, AskLabels)
    assert wanted.wanted == 70
    run.see(fresh=99)
    assert run.asked() == []
    run.see(fresh=100)
    assert len(run.asked()) == 1


@pytest.mark.parametrize("kind", ["drift", "estimated_quality", "errors", "latency"])
def test_nothing_but_proven_harm_retrains(kind: Kind) -> None:
    run = PolicyRun()
    decisions = run.see(kind, fresh=10_000)
    for _ in range(50):
        run.see(fresh=10_000, after_ms=HOUR_MS)
    assert run.asked() == []
    assert any(isinstance(each, Annotate) for each in decisions)
    asked = [each for each in decisions if isinstance(each, AskLabels)]
    assert bool(asked) == (kind in ("drift", "estimated_quality"))


def test_harm_of_a_version_that_no_longer_serves_is_only_annotated() -> None:
    run = PolicyRun()
    run.see("quality", fresh=1_000, champion="v2")
    assert run.asked() == []


def test_an_inconclusive_verdict_waits_for_half_as_many_labels_again() -> None:
    run = PolicyRun()
    run.see("quality", fresh=120)
    run.see(fresh=179, result=(1, "inconclusive"))
    assert len(run.asked()) == 1
    run.see(fresh=180)
    assert [each.attempt for each in run.asked()] == [1, 2]


def test_a_failed_retraining_is_tried_again_after_the_cool_down() -> None:
    run = PolicyRun()
    run.see("quality", fresh=120)
    run.see(fresh=120, result=(1, "failed"))
    run.see(fresh=120, after_ms=HOUR_MS - 1_000)
    assert len(run.asked()) == 1
    run.see(fresh=120, after_ms=1_000)
    assert len(run.asked()) == 2


def test_a_rejected_candidate_needs_more_labels_and_a_rest() -> None:
    run = PolicyRun()
    run.see("quality", fresh=120)
    run.see(fresh=180, result=(1, "reject"))
    run.see(fresh=179, after_ms=HOUR_MS)
    assert len(run.asked()) == 1
    run.see(fresh=180)
    assert len(run.asked()) == 2


def test_a_promotion_closes_the_case_and_a_new_one_can_open() -> None:
    run = PolicyRun()
    run.see("quality", fresh=120)
    run.see(fresh=300, result=(1, "promote"))
    run.see(fresh=300, result=(1, "promote"))
    assert run.state.case is not None
    run.see(champion="v2")
    assert run.state.case is None
    run.see("quality", champion="v1", fresh=200)
    assert run.state.case is not None
    assert len(run.asked()) == 1
    run.see(champion="v1", fresh=200, after_ms=HOUR_MS)
    assert len(run.asked()) == 2


def test_a_promotion_that_never_comes_is_tried_again() -> None:
    run = PolicyRun()
    run.see("quality", fresh=120)
    run.see(fresh=120, result=(1, "promote"))
    run.see(fresh=120, after_ms=7 * HOUR_MS)
    run.see(fresh=120, after_ms=HOUR_MS)
    assert len(run.asked()) == 2


def test_results_of_other_requests_are_ignored() -> None:
    run = PolicyRun()
    run.see("quality", fresh=120)
    run.see(fresh=180, result=(1, "inconclusive"))
    before = run.state
    run.see(fresh=180, result=(1, "failed"))
    assert run.state == before


def test_a_retraining_that_stays_silent_has_failed() -> None:
    run = PolicyRun()
    run.see("quality", fresh=120)
    run.see(fresh=120, after_ms=6 * HOUR_MS)
    run.see(fresh=120, after_ms=HOUR_MS)
    assert [each.attempt for each in run.asked()] == [1, 2]


def test_the_days_budget_holds_and_comes_back() -> None:
    run = PolicyRun()
    run.see("quality", fresh=100)
    for attempt in range(1, 6):
        run.see(fresh=100 * 2**attempt, result=(attempt, "inconclusive"))
    assert len(run.asked()) == 3
    run.see(fresh=10**9, after_ms=DAY_MS)
    assert len(run.asked()) == 4


def test_paused_asks_for_nothing_until_it_is_over() -> None:
    run = PolicyRun()
    run.see("quality", fresh=500, paused=True)
    assert run.asked() == []
    run.see(fresh=500)
    assert len(run.asked()) == 1


def test_where_only_people_act_it_is_written_once_that_a_retraining_would_have_been_asked_for() -> None:
    run = PolicyRun(replace(SETTINGS, mode="observe"))
    asked_labels = run.see("quality", fresh=30)
    assert [type(each) for each in asked_labels] == [AskLabels], "labels are no act on the model"
    (note,) = run.see(fresh=100)
    assert isinstance(note, Annotate)
    assert note.reason.startswith("labels prove harm since")
    assert "100 labels to learn from (attempt 1): not asked for, policy.mode is observe" in note.reason
    for _ in range(20):
        assert run.see(fresh=500, after_ms=HOUR_MS) == []
    run.settings = SETTINGS
    run.see(fresh=500)
    (asked,) = run.asked()
    assert (asked.attempt, asked.request_id) == (1, request_id("quality-1", 1)), "as if it had acted from the start"


def test_inputs_of_before_there_was_a_mode_are_those_of_one_that_acts() -> None:
    old = {name: value for name, value in asdict(SETTINGS).items() if name != "mode"}
    assert msgspec.convert(old, PolicySettings) == SETTINGS


def test_a_case_ends_with_its_alarm_and_the_next_alarm_opens_another() -> None:
    run = PolicyRun()
    run.see("quality", fresh=30)
    (note,) = run.see(cleared="quality-1")
    assert isinstance(note, Annotate)
    assert note.reason == "the alarm is over: closed"
    assert run.state.case is None
    run.see(fresh=500)
    assert run.asked() == []
    run.see("quality", fresh=100, number=2)
    assert [(each.alarm_id, each.attempt, each.since_ms) for each in run.asked()] == [("quality-2", 1, 10)]


def test_the_end_of_another_alarm_ends_no_case() -> None:
    run = PolicyRun()
    run.see("quality", fresh=30)
    assert run.see(cleared="drift-1") == []
    run.see(fresh=100)
    assert len(run.asked()) == 1


@pytest.mark.parametrize("status", ["inconclusive", "reject", "failed"])
def test_a_retraining_under_way_is_the_last_once_its_alarm_is_over(status: Status) -> None:
    run = PolicyRun()
    run.see("quality", fresh=100)
    run.see(cleared="quality-1")
    assert run.state.case is not None
    (note,) = run.see(result=(1, status))
    assert isinstance(note, Annotate)
    assert run.state.case is None
    run.see(fresh=1_000, after_ms=DAY_MS)
    assert len(run.asked()) == 1


def test_a_candidate_that_won_is_rolled_out_though_the_alarm_is_over() -> None:
    run = PolicyRun()
    run.see("quality", fresh=100)
    run.see(cleared="quality-1")
    run.see(result=(1, "promote"))
    assert run.state.case is not None
    assert run.state.case.promoting
    run.see(champion="v2")
    assert run.state.case is None


def test_harm_that_comes_back_during_the_retraining_is_the_same_case_of_the_new_alarm() -> None:
    run = PolicyRun()
    run.see("quality", fresh=100)
    run.see(cleared="quality-1")
    run.see("quality", fresh=20, number=2)
    assert len(run.asked()) == 1
    run.see(fresh=400, result=(1, "failed"))
    run.see(fresh=400, after_ms=2 * HOUR_MS)
    assert [(each.alarm_id, each.attempt) for each in run.asked()] == [("quality-1", 1), ("quality-2", 2)]


def test_an_alarm_that_is_over_as_soon_as_it_is_raised_opens_no_case() -> None:
    run = PolicyRun()
    run.see("quality", fresh=100, cleared="quality-1")
    assert run.asked() == []
    assert run.state.case is None


observations = st.builds(
    PolicyObservation,
    champion=st.sampled_from(["", "v1", "v2"]),
    time_ms=st.integers(0, 3 * DAY_MS),
    alarms=st.lists(
        st.builds(
            NewAlarm,
            alarm_id=st.sampled_from(["a", "b"]),
            kind=st.sampled_from(["quality", "drift", "errors"]),
            version=st.sampled_from(["v1", "v2"]),
            onset_ms=st.integers(0, 9),
        ),
        max_size=2,
    ),
    cleared=st.lists(st.sampled_from(["a", "b"]), max_size=2),
    fresh_labels=st.integers(0, 400),
    result=st.none()
    | st.builds(
        Result,
        request_id=st.sampled_from([request_id(name, k) for name in "ab" for k in (1, 2)]),
        status=st.sampled_from(["promote", "reject", "inconclusive", "failed"]),
    ),
)


@pytest.mark.slow
@given(st.lists(observations, max_size=25))
def test_invariants_of_any_story(story: list[PolicyObservation]) -> None:
    state, seen = PolicyState(), set()
    for observation in sorted(story, key=lambda each: each.time_ms):
        running = state.case.request_id if state.case else ""
        stored = msgspec.json.decode(msgspec.json.encode(state), type=PolicyState)
        state, decisions = decide(SETTINGS, stored, observation)
        assert (state, decisions) == decide(SETTINGS, stored, observation)
        for each in decisions:
            if isinstance(each, AskRetraining):
                assert each.fresh_labels >= SETTINGS.min_fresh_labels
                assert each.version == observation.champion or not observation.champion
                assert not running or state.case is None or state.case.request_id != running
                seen.add(each.request_id)
        assert len(state.asked_ms) <= SETTINGS.budget_per_day


@pytest.mark.parametrize("allowed", [False, True])
def test_a_judge_model_asks_for_a_retraining_only_where_it_is_allowed(allowed: bool) -> None:
    settings = PolicySettings(min_fresh_labels=100, judge_may_promote=allowed)
    run = PolicyRun(settings)
    first = run.see("judged_quality", fresh=10)
    run.see(fresh=200)
    asked = [each for each in run.decisions if isinstance(each, AskRetraining)]
    assert [type(each) for each in first] == ([AskLabels] if allowed else [Annotate, AskLabels])
    assert [each.reason.partition(" since ")[0] for each in asked] == ["a judge model finds harm"] * allowed


def test_harm_that_labels_prove_takes_over_a_judge_models_case() -> None:
    """The judge's alarm ends first: a case of its own would end with it, and the proven harm would never have one."""
    run = PolicyRun(PolicySettings(min_fresh_labels=100, judge_may_promote=True))
    run.see("judged_quality", fresh=10)
    run.see("quality", fresh=20)
    run.see(fresh=20, cleared="judged_quality-1")
    (asked,) = [each for each in run.see(fresh=200) if isinstance(each, AskRetraining)]
    assert (asked.alarm_id, asked.reason.partition(" since ")[0]) == ("quality-1", "labels prove harm")
    assert [each for each in run.see("judged_quality", number=2, fresh=200) if isinstance(each, AskRetraining)] == []
