"""Labelled rows: whose label counts, and which replies are left out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from retrain.data import labelled_rows
from streams.events import Event, FeedbackGiven, InferenceServed
from streams.kinds import Arm
from streams.lake.lake import Lake
from streams.messages import Message
from streams.topics import FEEDBACK, INFERENCE, Topic
from tests.streams.support.lakes import at, put


def reply(number: int, **changes: object) -> InferenceServed:
    given = {
        "id": f"e{number}",
        "time_ms": number * 1_000,
        "alias": "support",
        "version": "support-0123456789ab",
        "replica": "engine-0",
        "arm": Arm.CHAMPION,
        "operation": "chat",
        "client": "app",
        "input_messages": [Message("user", f"question {number}")],
        "output": "refund",
        "input_tokens": 5,
        "output_tokens": 2,
        "ttft_ms": 1.0,
        "tpot_ms": 1.0,
        "latency_ms": 1.0,
        "finish_reason": "stop",
        "logprob_mean": -0.1,
        "logprob_min": -0.2,
        "status": 200,
        "tags": {"tenant": "a"},
        **changes,
    }
    return InferenceServed(**given)  # type: ignore[arg-type]


def feedback(number: int, label: str | None, at: int = 0, **changes: object) -> FeedbackGiven:
    given = {
        "id": f"f{number}-{label}-{at}",
        "event_id": f"e{number}",
        "time_ms": number * 1_000 + at,
        "alias": "support",
        "version": "support-0123456789ab",
        "arm": Arm.CHAMPION,
        "by": "app",
        "label": label,
        **changes,
    }
    return FeedbackGiven(**given)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Lake:
    return at(tmp_path / "lake")


def test_a_labelled_reply_is_a_row(root: Lake) -> None:
    put(root, INFERENCE, [replace(reply(1), user="3fa9", conversation="77c0"), reply(2)])
    put(root, FEEDBACK, [feedback(1, "late")])
    (row,) = labelled_rows.fresh(root, "support", 0)
    assert (row.user, row.conversation) == ("3fa9", "77c0")
    assert (row.id, row.text, row.completion, row.predicted) == ("e1", "question 1", "late", "refund")
    assert (row.source, row.client, row.tags) == ("fresh", "app", {"tenant": "a"})


def test_the_last_label_counts_and_a_reviewers_most(root: Lake) -> None:
    put(root, INFERENCE, [reply(1), reply(2)])
    given = [
        feedback(1, "first"),
        feedback(1, "last", 5),
        feedback(2, "reviewed", source="reviewer"),
        feedback(2, "client", 9),
    ]
    put(root, FEEDBACK, list[Event](given))
    assert [row.completion for row in labelled_rows.fresh(root, "support", 0)] == ["last", "reviewed"]


def test_a_correction_is_as_good_as_a_label(root: Lake) -> None:
    put(root, INFERENCE, [reply(1), reply(2)])
    put(root, FEEDBACK, [feedback(1, None, correction="put right"), feedback(2, None, thumb=True)])
    assert [row.completion for row in labelled_rows.fresh(root, "support", 0)] == ["put right"]


def test_failed_and_shadow_replies_and_other_aliases_are_left_out(root: Lake) -> None:
    put(root, INFERENCE, [reply(1, status=499), reply(2, arm=Arm.SHADOW), reply(3, alias="other"), reply(4)])
    put(root, FEEDBACK, [feedback(i, "late", alias="other" if i == 3 else "support") for i in (1, 2, 3, 4)])
    assert [row.id for row in labelled_rows.fresh(root, "support", 0)] == ["e4"]


def test_replies_with_which_no_label_can_be_compared_are_no_rows(root: Lake) -> None:
    several = [Message("text", "one"), Message("text", "two")]
    odd = [
        reply(1, comparable=False),  # several answers, or text next to a call
        reply(2, output="", finish_reason="tool_calls"),
        reply(3, comparable=False, operation="completion", input_messages=several),
        reply(4, comparable=True),
        reply(5),  # of a gateway that did not say
    ]
    put(root, INFERENCE, list[Event](odd))
    put(root, FEEDBACK, [feedback(i, "late") for i in range(1, 6)])
    assert [row.id for row in labelled_rows.fresh(root, "support", 0)] == ["e4", "e5"]


def test_the_harms_begin_parts_fresh_from_healthy(root: Lake) -> None:
    put(root, INFERENCE, [reply(i) for i in range(1, 7)])
    put(root, FEEDBACK, [feedback(i, "late") for i in range(1, 7)])
    assert [row.id for row in labelled_rows.fresh(root, "support", 4_000)] == ["e4", "e5", "e6"]
    assert [row.id for row in labelled_rows.healthy(root, "support", 4_000)] == ["e1", "e2", "e3"]


def test_of_a_long_history_only_the_newest_rows_are_held(root: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a downstream system labels everything, history grows by most of a gigabyte a day."""
    put(root, INFERENCE, [reply(i, status=499 if i == 6 else 200) for i in (5, 3, 1, 2, 6, 4)])
    put(root, FEEDBACK, [feedback(i, "late") for i in range(1, 7)])
    held, by_ids = list[str](), Lake.by_ids

    def spy(root: Lake, topic: Topic, ids: Iterable[str], **more: Any) -> Any:
        held.extend([] if "columns" in more else (ids := list(ids)))
        return by_ids(root, topic, ids, **more)

    monkeypatch.setattr(Lake, "by_ids", spy)
    assert [row.id for row in labelled_rows.healthy(root, "support", 10_000, 2)] == ["e4", "e5"] == held
    assert len(labelled_rows.healthy(root, "support", 10_000, 6)) == 5


def test_no_lake_no_rows(root: Lake) -> None:
    assert labelled_rows.fresh(root, "support", 0) == []


def test_a_label_that_may_judge_goes_before_others_and_a_row_says_who_chose_it(root: Lake) -> None:
    put(root, INFERENCE, [reply(1), reply(2), reply(3)])
    given = [
        feedback(1, "audited", origin="audit"),
        feedback(1, "volunteered", 9, source="reviewer", origin="volunteered/reviewer"),
        feedback(2, "corrected", origin="volunteered/app"),
        feedback(3, "of before"),
    ]
    put(root, FEEDBACK, list[Event](given))
    found = labelled_rows.fresh(root, "support", 0)
    assert [(row.completion, row.selection, row.judges) for row in found] == [
        ("audited", "audit", True),
        ("corrected", "volunteered", False),
        ("of before", "volunteered", False),
    ]


def test_of_drawn_labels_those_judge_that_are_drawn_evenly_and_all_teach(root: Lake) -> None:
    """Of 400 that had to be drawn, a tenth of the replies: a fortieth of the chance of any judges."""
    put(root, INFERENCE, [reply(number) for number in range(400)])
    chances = [1.0 if number < 200 else 0.025 for number in range(400)]
    given = [feedback(number, "late", origin="wanted/reviewer") for number in range(400)]
    put(root, FEEDBACK, [replace(e, share=0.1, probability=p) for e, p in zip(given, chances, strict=True)])
    found = labelled_rows.fresh(root, "support", 0)
    doubted, even = found[:200], found[200:]
    assert 1 <= sum(row.judges for row in doubted) <= 15
    assert all(row.judges and row.selection == "wanted" for row in even)
    assert {row.selection for row in doubted if not row.judges} == {"doubted"}
    assert len(found) == 400


def test_audited_replies_without_a_label_are_rows_once_most_labels_would_have_come(root: Lake) -> None:
    audited = [reply(number, cohorts=["audit"]) for number in range(40)]
    put(root, INFERENCE, [*audited, reply(50), reply(51, cohorts=["complete/crm"]), reply(52, cohorts=["audit"])])
    put(root, FEEDBACK, [feedback(n, "late", 5_000, origin="audit") for n in range(30)])
    put(root, FEEDBACK, [feedback(30, "late", 5_000, origin="volunteered/app")])
    found = labelled_rows.unlabelled(root, "support", (0, None), 55_000, "fresh", 604_800_000)
    assert [row.id for row in found] == [f"e{number}" for number in range(30, 40)]
    assert {(row.completion, row.selection, row.unlabelled, row.judges) for row in found} == {("", "audit", True, True)}
    assert labelled_rows.unlabelled(root, "support", (0, None), 40_000, "fresh", 604_800_000) == found[:5]


def test_labels_that_come_weeks_later_are_read_and_missing_ones_awaited_as_long(root: Lake) -> None:
    """With `labels.wait_s` above a week; the harm began a second after the reply."""
    weeks = 3 * 7 * 86_400_000
    put(root, INFERENCE, [reply(1, cohorts=["audit"]), reply(2, cohorts=["audit"])])
    put(root, FEEDBACK, [feedback(1, "late", weeks, origin="audit")])
    assert [row.id for row in labelled_rows.healthy(root, "support", 2_000)] == ["e1"]
    for wait_ms, missing in ((weeks + 86_400_000, []), (86_400_000, ["e2"])):
        found = labelled_rows.unlabelled(root, "support", (0, None), weeks, "fresh", wait_ms)
        assert [row.id for row in found] == missing


def test_a_thumb_up_confirms_an_answer_where_a_reviewer_gave_it_and_judges_nothing(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    put(lake, INFERENCE, [reply(i, output=f"answer {i}") for i in range(4)])
    reviewer: dict[str, Any] = {"source": "reviewer", "by": "ann", "origin": "audit"}
    labels = [
        feedback(0, None, thumb=True),
        feedback(1, None, thumb=True, **reviewer),
        feedback(2, None, thumb=False, **reviewer),
        feedback(3, "refund", **reviewer),
        feedback(3, None, at=9, thumb=True, **reviewer),
    ]
    put(lake, FEEDBACK, labels)
    found = labelled_rows.fresh(lake, "support", 0)
    assert [(each.completion, each.by, each.judges) for each in found] == [
        ("answer 1", "reviewer/ann", False),
        ("refund", "reviewer/ann", True),
    ]
