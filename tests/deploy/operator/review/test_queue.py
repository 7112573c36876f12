"""The review queue: each reply once, with every reason."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from deploy.operator.review import queue
from deploy.operator.review.queue import ReviewItem
from streams.events import InferenceServed, RetrainReported
from streams.kinds import RetrainStatus
from streams.lake.lake import Lake
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import feedback, served

ALIAS = "support"
REPORT = RetrainReported(
    request_id="r", alias=ALIAS, status=RetrainStatus.INCONCLUSIVE, time_ms=9, by="t", candidate="support-0123456789ab"
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return at(tmp_path / "lake")


def reply(number: int, **changes: object) -> InferenceServed:
    return msgspec.structs.replace(served(ALIAS, number), **changes)


def reasons(found: list[ReviewItem]) -> dict[str, list[str]]:
    return {item.id: [why.partition(":")[0] for why in item.why] for item in found}


def test_each_reply_is_there_once_with_every_reason_and_the_weightiest_come_first(lake: Lake) -> None:
    replies = [reply(i, logprob_mean=-9.0 if i < 2 else -0.1) for i in range(60)]
    replies[0] = msgspec.structs.replace(replies[0], cohorts=["audit"])
    put(lake, INFERENCE, replies)
    two = [msgspec.structs.replace(feedback(replies[5], True), id=by, by=by, label=by) for by in ("ann", "bob")]
    put(lake, FEEDBACK, two)
    found = queue.found(lake, ALIAS, 0, [], {replies[1].id: "an alarm", replies[7].id: "an alarm"})
    by_id = reasons(found)
    assert next(iter(by_id)) == replies[0].id
    assert by_id[replies[0].id] == ["audited", "unsure"]
    assert by_id[replies[1].id] == ["asked", "unsure"]
    assert by_id[replies[7].id] == ["asked"]
    assert by_id[replies[5].id] == ["disagreeing"]
    assert sum("unsure" in why for why in by_id.values()) == 3, "a twentieth of the replies"
    assert found[0].question == replies[0].input_messages[-1].content
    assert found[0].answer == replies[0].output


def test_what_has_a_judgement_or_cannot_be_labelled_is_not_there(lake: Lake) -> None:
    replies = [reply(0), reply(1, output=""), reply(2, status=500), reply(3)]
    put(lake, INFERENCE, replies)
    put(lake, FEEDBACK, [feedback(replies[0], True)])
    assert reasons(queue.found(lake, ALIAS, 0, [], {each.id: "an alarm" for each in replies})) == {
        replies[3].id: ["asked"]
    }


@pytest.mark.parametrize(
    ("short", "status", "count"), [(True, "inconclusive", 50), (False, "inconclusive", 0), (True, "reject", 0)]
)
def test_labels_that_would_settle_the_gate_are_of_replies_by_chance(
    lake: Lake, short: bool, status: str, count: int
) -> None:
    put(lake, INFERENCE, [reply(i, logprob_mean=None) for i in range(200)])
    report = msgspec.structs.replace(REPORT, status=RetrainStatus(status), short_of_labels=short)
    later = msgspec.structs.replace(report, status=RetrainStatus.CLAIMED, time_ms=10)
    found = reasons(queue.found(lake, ALIAS, 0, [report, later], {}))
    assert len(found) == count
    assert {why for some in found.values() for why in some} <= {"edge"}


@pytest.mark.parametrize(
    ("opinions", "why"),
    [
        ([{"label": "a"}, {"label": "A."}], ""),
        ([{"label": "a"}, {"correction": "b"}], "2 people give 2 labels"),
        ([{"thumb": True}, {"score": 0.2}], "people find it good and bad"),
        ([{"thumb": True}, {"score": 0.2, "source": "judge"}], "the judge model and people differ"),
        ([{"score": 0.9}, {"score": 0.8, "source": "judge"}], ""),
        ([{"score": 0.9}], ""),
    ],
)
def test_what_counts_as_disagreement(opinions: list[dict[str, object]], why: str) -> None:
    rows = [{"event_id": "r", "by": str(i), "source": "client", **each} for i, each in enumerate(opinions)]
    assert queue.disagreeing(rows) == ({"r": why} if why else {})
