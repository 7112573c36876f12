"""A judge model on the command line: compared with people by `labels judge`, and asked by `labels give`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.operator.labels.wanted import LabelRules, filled_in
from serving.gateway.masking import Maskers
from streams.identity import Signer
from streams.scoring.scorer import Scorer
from streams.scoring.settings import ByRubric
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.judge_server import JudgeServer
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import feedback, served

SCORES = (0.9, 0.8, 0.1, 0.6)  # the judge's, of the first four replies; of the others it gives none
PEOPLE: tuple[dict[str, Any], ...] = (
    {"score": 1.0},
    {"thumb": True},
    {"thumb": False},
    {"label": "other"},
    {"thumb": True},
    {"correction": "A far longer text, which says how the answer should have been written."},
)


def judged(body: dict[str, Any]) -> str:
    prompt = body["messages"][0]["content"]
    assert "(not known)" in prompt, "the judge does not see what people think"
    return next((str(score) for i, score in enumerate(SCORES) if f"question {i}?" in prompt), "no idea")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    replies = [served("support", number, text=f"question {number}?") for number in range(8)]
    put(tmp_path / "lake", INFERENCE, replies)
    bare = [msgspec.structs.replace(feedback(reply, None), label=None) for reply in replies[: len(PEOPLE)]]
    given = [msgspec.structs.replace(one, **said) for one, said in zip(bare, PEOPLE, strict=True)]
    older = msgspec.structs.replace(bare[0], id="older", thumb=False, time_ms=bare[0].time_ms - 1)
    put(tmp_path / "lake", FEEDBACK, [older, *given])
    return tmp_path


def run(var: Path, url: str, *words: str) -> Result:
    (var / "rubric.md").write_text("Polite.")
    metric = f"rubric = '{var}/rubric.md'\nurl = '{url}'\nmodel = 'judge'\n" if url else "name = 'rouge_l'\n"
    (var / "homeostat.toml").write_text(f"[stack]\nvar = '{var}'\n[scoring.metrics.support]\n{metric}")
    return CliRunner().invoke(main, ["labels", "judge", "support", *words, "--config", str(var / "homeostat.toml")])


async def test_it_is_compared_on_the_replies_that_people_have_scored(lake: Path) -> None:
    async with JudgeServer(judged).serving() as judge:
        done = await asyncio.to_thread(run, lake, judge.url)
        again = await asyncio.to_thread(run, lake, judge.url)
        newest = await asyncio.to_thread(run, lake, judge.url, "--rows", "3")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "4 replies with a person's judgement and the judge's",
        "1 more without the judge's: nonsense",
        "agreement: 0.750",  # the last of the four is wrong for people, and good for the judge
        "mean error: 0.250",
        "bias (above 0: too mild): 0.100",
        "correlation: 0.811",
    ]
    assert again.stdout == done.stdout
    assert "1 replies with" in newest.stdout
    assert len(judge.bodies) == 5 + 1 + 1, "only what it gave no score is asked again"


async def test_labels_that_are_given_are_judged_by_the_aliass_metric(lake: Path) -> None:
    """Nothing is cut at a half; without a score it stays open."""
    (lake / "rubric.md").write_text("Polite.")
    replies = [served("support", number) for number in range(3)]
    lines = [{"id": each.id, "question": "", "answer": "", "label": f"label {i}"} for i, each in enumerate(replies)]
    (lake / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    answers = {"label 0": "0.8", "label 1": "0.2", "label 2": "hm"}

    def by_label(body: dict[str, Any]) -> str:
        return next(score for label, score in answers.items() if label in body["messages"][0]["content"])

    async with JudgeServer(by_label).serving() as judge:
        metric = ByRubric(rubric=lake / "rubric.md", url=judge.url, model="judge")
        rules = LabelRules(Scorer.of(metric, "support", lake), Maskers((), lambda tenant: b""), Signer(b"key"))
        given, empty = await asyncio.to_thread(filled_in, at(lake / "lake"), lake / "rows.jsonl", "support", rules)
    assert ([each.loss for each in given], empty) == ([0.2, 0.8, None], 0)
    assert [each.label for each in given] == list(answers)


def test_an_alias_without_a_judge_is_told(lake: Path) -> None:
    done = run(lake, "")
    assert done.exit_code == 1
    assert "scoring.metrics.support is ByName(name='rouge_l'), expected a judge" in done.stderr
