from __future__ import annotations

from msgspec.structs import replace

from deploy.backtest.observed import Facts, Observed
from streams.events import FeedbackGiven, InferenceServed
from streams.kinds import Arm
from streams.lake.history import Slice
from tests.streams.support.traffic import feedback, served

REPLIES = [served("support", i) for i in range(6)]
VERSION = REPLIES[0].version


def facts(replies: list[InferenceServed], labels: list[FeedbackGiven], asked: tuple[str, ...] = ()) -> Facts:
    observed = Observed()
    observed.add(Slice(replies, [each.time_ms for each in replies], [], []))
    observed.add(Slice([], [], labels, [each.time_ms for each in labels]))
    return observed.facts(asked)


def test_a_label_counts_at_the_time_of_its_answer() -> None:
    found = facts(REPLIES, [feedback(REPLIES[4], False), feedback(REPLIES[1], True)])
    assert found.labels[VERSION].times_ms.tolist() == [REPLIES[1].time_ms, REPLIES[4].time_ms]
    assert found.labels[VERSION].losses.tolist() == [0, 1]
    assert found.given_ms[VERSION].tolist() == [REPLIES[1].time_ms + 1_000, REPLIES[4].time_ms + 1_000]


def test_an_answers_first_label_counts_and_no_opinion_is_none() -> None:
    one = feedback(REPLIES[0], False)
    found = facts(REPLIES, [one, replace(one, loss=0.0), feedback(REPLIES[1], None)])
    assert found.labels[VERSION].losses.tolist() == [1]


def test_labels_that_an_alarm_asked_for_are_no_fair_sample() -> None:
    found = facts(REPLIES, [feedback(REPLIES[0], False), feedback(REPLIES[1], True)], (REPLIES[0].id,))
    assert found.labels[VERSION].losses.tolist() == [0]


def test_only_the_champions_answers_count() -> None:
    canary = [replace(each, arm=Arm.CANARY) for each in REPLIES[:2]]
    failed = replace(REPLIES[2], status=503)
    found = facts([*canary, failed, *REPLIES[3:]], [feedback(canary[0], False)])
    assert found.replies_ms[VERSION].tolist() == [each.time_ms for each in REPLIES[3:]]
    assert found.labels == {}


def test_champions_follow_one_another() -> None:
    later = [replace(each, version="support-ffffffffffff", time_ms=each.time_ms + 60_000) for each in REPLIES]
    found = facts([*REPLIES, *later], [])
    assert found.champions == [(REPLIES[0].time_ms, VERSION), (later[0].time_ms, "support-ffffffffffff")]
