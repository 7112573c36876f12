"""With the settings that a run had, its very alarms and decisions are found again."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import pytest

from deploy.backtest import recorded
from deploy.backtest import replay as replaying
from deploy.backtest.outcome import EndedRetraining, PolicyOutcome, RecordedAnswer
from deploy.backtest.policies import Policy, PolicySections
from deploy.backtest.replay import HistoryChunk, HistoryScorer, Scored, advance, begin, cut
from deploy.backtest.run import describer
from monitor.operator_answer import OperatorAnswer
from monitor.rows import ScoreRows
from monitor.settings import PolicySettings
from streams.lake.history import Stretch, read
from streams.lake.lake import Lake
from tests.deploy.support.lives import ALIAS, PRESENT, SECTIONS, Life, life, live, store

pytestmark = pytest.mark.slow

KINDS = {"harm": "quality", "drift": "drift", "doubt": "estimated_quality", "failure": "errors"}


def replayed(
    root: Lake,
    policy: Policy = PRESENT,
    ended: tuple[EndedRetraining, ...] = (),
    answers: tuple[RecordedAnswer, ...] = (),
) -> PolicyOutcome:
    replay, scorer = begin(policy, ALIAS, ended, answers), HistoryScorer(describer(policy))
    for slice in read(root, Stretch(ALIAS)):
        for chunk in scorer.score(slice):
            replay = advance(replay, chunk)
    return replay.outcome


@cache
def kept(kind: str) -> Life:
    return life(kind)


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return store(tmp_path_factory.mktemp("harmed"), kept("harm"))


@pytest.fixture(scope="module")
def present(harmed: Lake) -> PolicyOutcome:
    """What the present settings make of the harm."""
    return replayed(harmed)


def happened(lived: Life, **options: int) -> PolicyOutcome:
    return recorded.recorded(live(lived, **options)).outcome  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_runs_very_alarms_are_found_again(tmp_path: Path, kind: str) -> None:
    """Of a worker that takes each reply as it comes. In larger batches, which label came before which reply is not
    known; it matters to labels of replies that an alarm has just asked for."""
    lived = kept(kind)
    then, now = happened(lived, batch_ms=200), replayed(store(tmp_path, lived))
    assert KINDS[kind] in [alarm.kind for alarm in then.alarms]
    assert sorted(alarm.key for alarm in now.alarms) == sorted(alarm.key for alarm in then.alarms)
    assert [each.since_ms for each in now.retrainings] == [each.since_ms for each in then.retrainings]
    assert [each.request_id for each in now.retrainings] == [each.request_id for each in then.retrainings]


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    lived = kept("nothing")
    assert happened(lived) == replayed(store(tmp_path, lived)) == PolicyOutcome()


@pytest.mark.parametrize("kind", ["harm", "drift"])
def test_of_several_partitions_the_same_alarms_within_some_batches(tmp_path: Path, kind: str) -> None:
    """The worker took two seconds of each partition by turns; which event of these came last is not known."""
    lived, batch_ms = kept(kind), 2_000
    then = happened(lived, partitions=3, batch_ms=batch_ms)
    now = replayed(store(tmp_path, lived, partitions=3))
    then_by, now_by = ({alarm.kind: alarm for alarm in each.alarms} for each in (then, now))
    assert KINDS[kind] in then_by
    assert set(now_by) == set(then_by)
    for name, alarm in now_by.items():
        assert abs(alarm.time_ms - then_by[name].time_ms) <= 3 * batch_ms
        assert abs(alarm.onset_ms - then_by[name].onset_ms) <= 3 * batch_ms


def test_decisions_have_the_moment_of_the_label_that_made_them(present: PolicyOutcome) -> None:
    """Not of the chunk in which it came."""
    lived = kept("harm")
    given = {label.time_ms for label in lived.labels}
    assert {each.time_ms for each in present.retrainings} <= given
    quality = next(alarm for alarm in present.alarms if alarm.kind == "quality")
    assert quality.raised_ms == next(label.time_ms for label in lived.labels if label.event_id == quality.last_event)


def test_another_policy_acts_at_another_time(harmed: Lake, present: PolicyOutcome) -> None:
    eager = dataclasses.replace(SECTIONS, policy=PolicySettings(min_fresh_labels=20))
    (early,), (usual,) = replayed(harmed, Policy("eager", eager)).retrainings, present.retrainings
    assert early.fresh_labels < usual.fresh_labels == 50
    assert early.time_ms < usual.time_ms


def test_a_retraining_that_nobody_knows_of_is_under_way_until_the_champion_changes(harmed: Lake) -> None:
    """Without that, its silence would count as failure and more would be asked for."""
    short = PolicySettings(min_fresh_labels=20, retraining_timeout_s=5, cool_down_s=0)
    policy = Policy("short", PolicySections(SECTIONS.monitor, short))
    assert [each.attempt for each in replayed(harmed, policy).retrainings] == [1]


def test_one_that_the_ledger_knows_ends_as_it_did(harmed: Lake) -> None:
    before = recorded.recorded(live(kept("harm"), batch_ms=200, rejected_after_ms=2_000))
    assert [each.status for each in before.ended][:1] == ["reject"]
    assert len(before.outcome.retrainings) > 1
    now = replayed(harmed, ended=tuple(before.ended))
    assert [each.request_id for each in now.retrainings] == [each.request_id for each in before.outcome.retrainings]
    assert [each.reason.partition(":")[0] for each in now.labels_wanted if "ended" in each.reason] == [
        f"retraining {attempt} ended reject" for attempt in range(1, len(before.ended) + 1)
    ]


def test_what_an_operator_said_is_said_again_at_its_time(harmed: Lake, present: PolicyOutcome) -> None:
    first = next(alarm for alarm in present.alarms if alarm.kind == "quality")
    at_ms = first.raised_ms + 1_000
    answer = OperatorAnswer(version=first.version, verb="clear", by="cli", time_ms=at_ms, kind="quality")
    again = replayed(harmed, answers=(RecordedAnswer(id="said", time_ms=at_ms, answer=answer),))
    one, other = (alarm for alarm in again.alarms if alarm.kind == "quality")
    assert one == first
    assert other.raised_ms > at_ms
    (over,) = (each for each in again.cleared if each.kind == "quality")
    assert (over.cause, over.cleared_ms) == ("cleared", at_ms)


def test_chunks_hold_everything_once_in_order_and_are_bounded() -> None:
    times = [0] * 10 + [i * 1_000 for i in range(700)] + [90_000_000]
    replies = Scored(_rows(len(times)), times)
    labels = Scored(_rows(300), [i * 2_000 for i in range(300)])
    chunks = list(cut(HistoryChunk(replies, labels, ())))
    assert [at for each in chunks for at in each.replies.rows.offsets] == list(range(len(times)))
    assert [at for each in chunks for at in each.labels.rows.offsets] == list(range(300))
    assert max(each.rows for each in chunks) <= replaying.MOST_ROWS
    ends = [each.end_ms for each in chunks]
    assert ends == sorted(ends)
    assert len(chunks[-1].replies.rows) == 1, "a day later is not the same moment"


def test_more_than_a_chunk_at_one_moment_stays_together() -> None:
    many = Scored(_rows(1_000), [5] * 1_000)
    assert [each.rows for each in cut(HistoryChunk(many, Scored(_rows(0), []), ()))] == [1_000]


def _rows(count: int) -> ScoreRows:
    offsets = list(range(count))
    return ScoreRows(offsets=offsets, ids=[""] * count, times_ms=offsets, versions=[], arms=[], clients=[])
