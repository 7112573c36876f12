"""Answers become feedback of a reviewer, by the person's key, as the gateway would have made it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from deploy.operator.labels.wanted import LabelRules
from deploy.operator.review.answers import ReviewAnswer, given
from serving.gateway.masking import Maskers
from serving.settings import GatewaySettings
from streams.events import InferenceServed
from streams.identity import Signer
from streams.lake.lake import Lake
from streams.scoring.scorer import Scorer
from streams.topics import INFERENCE
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import served

ALIAS, SIGNER = "support", Signer(b"key")


@pytest.fixture
def replies(tmp_path: Path) -> list[InferenceServed]:
    made = [served(ALIAS, i) for i in range(4)]
    made[1] = msgspec.structs.replace(made[1], cohorts=["audit"])
    put(tmp_path / "lake", INFERENCE, made)
    return made


def rules(tmp_path: Path, metric: str = "exact_match") -> LabelRules:
    masks = Maskers(GatewaySettings().mask, SIGNER.tenant_key)
    return LabelRules(Scorer.of(metric, ALIAS, tmp_path), masks, SIGNER, {})


def lake(tmp_path: Path) -> Lake:
    return at(tmp_path / "lake")


def test_accept_correct_and_score(tmp_path: Path, replies: list[InferenceServed]) -> None:
    answers = [
        ReviewAnswer(replies[0].id, "accept"),
        ReviewAnswer(replies[1].id, "correct", text="ask ann@example.org"),
        ReviewAnswer(replies[2].id, "score", score=0.3),
    ]
    accepted, corrected, scored = given(lake(tmp_path), ALIAS, answers, "ann", rules(tmp_path))
    assert {(each.by, each.source) for each in (accepted, corrected, scored)} == {("ann", "reviewer")}
    assert (accepted.label, accepted.thumb, accepted.loss) == (replies[0].output, True, 0.0)
    assert (corrected.loss, corrected.thumb, corrected.origin) == (1.0, None, "audit")
    assert (corrected.label or "").endswith("@mail.invalid"), "masked before it leaves"
    assert (scored.score, scored.label, scored.loss, scored.origin) == (0.3, None, None, "volunteered/reviewer")


def test_the_same_answer_is_the_same_event_and_another_person_s_is_another(
    tmp_path: Path, replies: list[InferenceServed]
) -> None:
    answer = ReviewAnswer(replies[0].id, "correct", text="loan")
    known = [
        given(lake(tmp_path), ALIAS, [each], key, rules(tmp_path))[0]
        for each, key in (
            (answer, "ann"),
            (answer, "ann"),
            (answer, "bob"),
            (ReviewAnswer(answer.id, "correct", text="loan", by="3"), "ann"),
        )
    ]
    assert len({each.id for each in known}) == 3
    assert known[0].id == known[1].id
    assert known[3].by.startswith("ann/"), "whom a tool names is kept apart, by a pseudonym"
    assert known[3].by.partition("/")[2] != "3"


def test_a_correction_by_another_metric_is_a_text(tmp_path: Path, replies: list[InferenceServed]) -> None:
    (found,) = given(
        lake(tmp_path), ALIAS, [ReviewAnswer(replies[0].id, "correct", text="loan")], "ann", rules(tmp_path, "rouge_l")
    )
    assert (found.label, found.correction, found.metric) == (None, "loan", "rouge_l")


def test_an_answer_about_no_reply_sends_nothing(tmp_path: Path, replies: list[InferenceServed]) -> None:
    answers = [ReviewAnswer(replies[0].id, "accept"), ReviewAnswer("strange", "accept")]
    with pytest.raises(ValueError, match="id is 'strange', expected that of a reply of support"):
        given(lake(tmp_path), ALIAS, answers, "ann", rules(tmp_path))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"verdict": "maybe"}, "verdict is 'maybe'"),
        ({"verdict": "correct"}, "text is ''"),
        ({"verdict": "accept", "text": "x"}, "text is 'x'"),
        ({"verdict": "score"}, "score is None"),
        ({"verdict": "score", "score": 1.5}, "score is 1.5"),
        ({"verdict": "accept", "score": 1.0}, "score is 1.0"),
        ({"verdict": "correct", "text": "x" * 20_001}, "text has 20001 characters"),
    ],
)
def test_what_is_no_answer_is_named(fields: dict[str, object], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        ReviewAnswer("id", **fields)  # type: ignore[arg-type]
