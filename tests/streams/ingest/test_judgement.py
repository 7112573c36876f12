"""One alias's labels do not wait for another's metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from streams.ingest import judgement
from streams.ingest.judgement import LATER, Judged, JudgedLoss, LabelledReply, by_metric
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.scorer import Scorer, Scorers
from streams.scoring.settings import ByName, ScoringSettings
from tests.streams.support.traffic import feedback, served


class Odd:
    """A grader that fails, or takes as long as it is told."""

    def __init__(self, fails: bool = False) -> None:
        self.fails, self.asked = fails, list[int]()

    async def scores(self, rows: Sequence[AnsweredRow]) -> list[float | Unjudged]:
        self.asked.append(len(rows))
        if self.fails:
            raise RuntimeError("no metric")
        return [Unjudged.AWAY if each.truth == "later" else 0.25 for each in rows]


def judge_of(**graders: Odd) -> judgement.Judge:
    scorers = Scorers(ScoringSettings(), Path())
    scorers._made = {alias: Scorer(alias, ByName(name="rouge_1"), each) for alias, each in graders.items()}
    return by_metric(scorers)


def labelled(alias: str, count: int, truth: str = "the red card") -> list[LabelledReply]:
    return [LabelledReply(replace(served(alias, i), output="the red card"), truth) for i in range(count)]


def test_a_judgement_keeps_the_chance_with_which_the_reply_was_drawn() -> None:
    reply = served("support", 1)
    label = replace(feedback(reply, None), origin="wanted/reviewer", share=0.1, probability=0.05)
    found = judgement.judgement(label, reply, JudgedLoss(0.25, "rouge_1"))
    assert (found.origin, found.share, found.probability) == ("wanted/reviewer", 0.1, 0.05)


async def test_a_metric_that_fails_holds_up_its_own_alias_only() -> None:
    judge = judge_of(broken=Odd(fails=True))
    found = await judge([*labelled("broken", 2), *labelled("support", 2)])
    right: Judged = JudgedLoss(0.0, "exact_match")
    assert found == [LATER, LATER, right, right]


async def test_what_there_is_no_time_for_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "PATIENCE_S", 0.0)
    slow = Odd()
    found = await judge_of(slow=slow)([*labelled("slow", 100), *labelled("support", 1)])
    assert slow.asked == [judgement.TOGETHER]
    known = [each for each in found if each != LATER]
    assert known == [JudgedLoss(0.75, "rouge_1")] * judgement.TOGETHER + [JudgedLoss(0.0, "exact_match")]
    assert len(found) == 101


async def test_rows_keep_their_places_where_some_have_no_score_yet() -> None:
    rows = [*labelled("slow", 1), *labelled("slow", 1, "later"), *labelled("slow", 40)]
    found = await judge_of(slow=Odd())(rows)
    assert [k for k, each in enumerate(found) if each == LATER] == [1]
