"""A judge model on rows without a label: it blocks, and promotes only where that is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monitor.selection.audit import chosen
from retrain.data import unlabelled_rows
from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.evaluation.checks import Scores
from retrain.evaluation.comparison import compare
from retrain.evaluation.gate import UNJUDGED_ALONE, judge, short_of_labels, waits
from retrain.evaluation.judged import ModelJudge
from retrain.evaluation.model_checks import JUDGED, STANDS_IN
from retrain.settings import RetrainSettings
from streams.scoring.scorer import Scorer
from streams.scoring.settings import ByRubric
from streams.topics import FEEDBACK, INFERENCE
from tests.retrain.data.test_labelled_rows import feedback, reply
from tests.retrain.evaluation.test_evaluate import EXACT, WON
from tests.retrain.evaluation.test_gate import BETTER, asked
from tests.retrain.support.engine import Engine
from tests.retrain.support.rows import rows
from tests.streams.support.judge_server import JudgeServer
from tests.streams.support.lakes import at, put

LIKED: Scores = [(0.9, 0.2)] * 60
DISLIKED: Scores = [(0.2, 0.9)] * 60
FEW: Scores = [(1.0, 0.0)] * 3
NAME = "rubric tone"


@pytest.mark.parametrize(("allowed", "status"), [(False, "inconclusive"), (True, "promote")])
def test_better_by_the_judge_promotes_only_where_it_is_allowed(allowed: bool, status: str) -> None:
    gate = asked(FEW, judged=LIKED, judge=NAME, judge_may_promote=allowed, judge_agrees=(87, 100))
    verdict = judge(gate)
    assert verdict.status == status
    assert "agrees with people on 87 of 100 audited replies" in verdict.reason
    assert ("may block, and promote" if allowed else "may block, never promote") in verdict.reason


@pytest.mark.parametrize("allowed", [False, True])
def test_worse_by_the_judge_blocks_what_labels_promote(allowed: bool) -> None:
    assert judge(asked(BETTER)).status == "promote"
    gate = asked(BETTER, judged=DISLIKED, judge=NAME, judge_may_promote=allowed)
    verdict = judge(gate)
    assert verdict.status == "reject"
    assert "judge failed: -70.0 points on 60 rows" in verdict.reason
    assert not waits(gate)
    assert not short_of_labels(gate)


def test_a_judge_that_cannot_tell_changes_nothing() -> None:
    for judged in ([(0.5, 0.5)] * 60, [(0.9, 0.2)], [(0.2, 0.9)]):
        assert judge(asked(BETTER, judged=judged, judge=NAME)).status == "promote"
        assert judge(asked(FEW, judged=judged, judge=NAME, judge_may_promote=True)).status == "inconclusive"
        assert waits(asked(FEW, judged=judged, judge=NAME), "target")


def test_the_judge_stands_in_for_the_gain_alone() -> None:
    """Rows of the healthy time are still needed, and a gain that labels refute is refuted."""
    allowed: dict[str, Any] = {"judged": LIKED, "judge": NAME, "judge_may_promote": True}
    assert judge(asked(FEW, [], **allowed)).status == "inconclusive"
    assert judge(asked([(0.0, 1.0)] * 40, **allowed)).status == "reject"


def test_a_candidate_that_the_judge_cannot_score_is_not_promoted_by_it() -> None:
    gate = asked(FEW, judged=LIKED, judge=NAME, judge_may_promote=True, judged_left_out={UNJUDGED_ALONE: 30})
    assert judge(gate).status == "inconclusive"


def test_without_a_judge_the_verdict_has_no_check_of_it() -> None:
    verdict = judge(asked())
    assert not {JUDGED, STANDS_IN} & {check.name for check in verdict.checks}
    assert "judge model" not in verdict.reason


@pytest.fixture
def by_rubric(tmp_path: Path) -> ByRubric:
    (tmp_path / "tone.md").write_text("Polite.")
    return ByRubric(rubric=tmp_path / "tone.md", url="http://unknown", model="gpt", share=1.0, again_s=0, tries=1)


@pytest.mark.parametrize("away", [False, True])
async def test_both_sides_are_asked_and_the_judge_scores_them_without_a_truth(
    by_rubric: ByRubric, tmp_path: Path, away: bool
) -> None:
    unlabelled = [
        Example(id=f"u{k}", messages=each.messages, completion="", source="fresh", selection="judge")
        for k, each in enumerate(rows(8, "a", first=900))
    ]
    server = JudgeServer(
        lambda body: '{"score": 0.9}' if "\na\n" in body["messages"][0]["content"] else '{"score": 0.1}'
    )
    async with server.serving(), Engine().serving() as url:
        server.statuses = [503] * 100 if away else []
        metric = ByRubric(rubric=by_rubric.rubric, url=server.url, model="gpt", again_s=0, tries=1)
        model = ModelJudge(scorer=Scorer.of(metric, "support", tmp_path), rows=lambda: unlabelled, agrees=(3, 4))
        dataset = Dataset([], [], rows(6, "a"), rows(4, "b", first=50), {})
        gate = await compare(RetrainSettings(), url, dataset, EXACT, *WON, then=model.asked)
    assert gate.target == [(1.0, 0.0)] * 6
    assert gate.judge_agrees == (3, 4)
    if away:
        assert (gate.judged, gate.left_out) == ([], {})
        assert sum(gate.judged_left_out.values()) == 8
        return
    assert all("(not known)" in prompt for prompt in server.prompts)
    assert gate.judged == [(0.9, 0.1)] * 8
    assert gate.missing == {}


def test_rows_for_the_judge_are_the_newest_of_its_share_that_nobody_labelled(tmp_path: Path) -> None:
    lake = at(tmp_path / "lake")
    put(lake, INFERENCE, [reply(k, comparable=True) for k in range(1, 60)])
    put(lake, FEEDBACK, [feedback(50, "refund"), feedback(51, None, source="judge", origin="judge/x", loss=0.2)])
    mine = [f"e{k}" for k in range(20, 60) if chosen(f"e{k}", 0.5) and k != 50]
    found = unlabelled_rows.unlabelled(lake, "support", 20_000, 0.5, 10)
    assert [row.id for row in found] == mine[-10:]
    assert not any(row.unlabelled or row.judges or row.completion for row in found)


def test_agreement_is_of_audited_replies_that_both_have_judged(tmp_path: Path) -> None:
    lake = at(tmp_path / "lake")
    scores = [feedback(k, None, source="judge", origin="judge/x", loss=0.1 * (k % 10)) for k in range(1, 21)]
    people = [feedback(k, "refund", at=5, origin="audit", loss=float(k % 2)) for k in range(1, 11)]
    others = [feedback(k, "refund", at=6, origin="random/app", loss=0.0) for k in range(11, 16)]
    put(lake, FEEDBACK, [*scores, *people, *others])
    expected = sum((0.1 * (k % 10) < 0.5) == (k % 2 < 0.5) for k in range(1, 11))
    assert unlabelled_rows.agrees(lake, "support", "judge/x") == (expected, 10)
    assert unlabelled_rows.agrees(lake, "support", "judge/y") == (0, 0)
