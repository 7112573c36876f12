"""Evaluation asks the engine as clients do, and never mistakes trouble for a wrong answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from retrain.data.dataset import Dataset
from retrain.data.example import Example
from retrain.evaluation.comparison import compare
from retrain.evaluation.evaluate import EvaluationRefused, answers, loaded, names
from retrain.evaluation.gate import judge
from retrain.evaluation.pairs import slices, summary
from retrain.settings import RetrainSettings
from streams.messages import Message, ToolCall
from streams.scoring.scorer import Scorer
from streams.scoring.settings import ByRubric
from tests.retrain.support.engine import Engine
from tests.retrain.support.rows import row, rows
from tests.streams.support.judge_server import JudgeServer

EXACT = Scorer.of("exact_match", "support", Path("."))


@pytest.fixture
async def engine() -> AsyncIterator[tuple[Engine, str]]:
    made = Engine()
    async with made.serving() as url:
        yield made, url


async def test_the_adapter_is_held_only_while_it_is_asked(engine: tuple[Engine, str]) -> None:
    made, url = engine
    made.names["evaluation-left-by-a-killed-one"] = "/x"
    async with aiohttp.ClientSession() as http:
        both = {"support-1": Path("/adapters/good"), "support-2": Path("/adapters/bad")}
        async with loaded(http, url, both) as names:
            assert [name.endswith(end) for name, end in zip(names, both, strict=True)] == [True, True]
            assert all(name.startswith("evaluation-") for name in names)
            assert set(made.names) == {"base", *names}
        assert set(made.names) == {"base"}
        with pytest.raises(ZeroDivisionError):
            async with loaded(http, url, both):
                _ = 1 / 0
    assert set(made.names) == {"base"}


async def test_answers_come_in_the_rows_order(engine: tuple[Engine, str]) -> None:
    made, url = engine
    asked = rows(20)
    made.names["m"] = "/bad"
    async with aiohttp.ClientSession() as http:
        given = await answers(http, url, "m", asked, limits=[8] * 20, concurrency=4)
    assert [each.text for each in given] == [each.text for each in asked]


async def test_a_row_is_asked_with_its_tools_and_a_call_is_its_answer(engine: tuple[Engine, str]) -> None:
    made, url = engine
    made.names["m"] = "/bad"
    call = {"id": "c", "type": "function", "function": {"name": "block", "arguments": '{"card": 7}'}}
    messages = [
        Message("user", "Block it."),
        Message("assistant", "", [ToolCall("find", "{}", "a")]),
        Message("tool", "card 7", tool_call_id="a"),
    ]
    wishes = {"tools": [{"type": "function", "function": {"name": "block"}}], "temperature": 1.5, "n": 3}
    asked = row(1, '{"name": "block", "arguments": {"card": 7.0}}', messages=messages, request=wishes)
    made.calling = [call]
    async with aiohttp.ClientSession() as http:
        (given,) = await answers(http, url, "m", [asked], limits=[8], concurrency=1)
    assert await EXACT.scores([asked.answered(given.text, given.choices)]) == [1.0]
    (choice,) = given.choices
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "block", "arguments": '{"card": 7}'}
    (body,) = made.asked
    assert (body["tools"], body["temperature"], body.get("n")) == (wishes["tools"], 0, None)
    assert body["messages"][1]["tool_calls"][0]["function"] == {"name": "find", "arguments": "{}"}
    assert body["messages"][2] == {"role": "tool", "content": "card 7", "tool_call_id": "a"}


async def test_an_error_is_no_wrong_answer(engine: tuple[Engine, str]) -> None:
    made, url = engine
    made.status, made.names["m"] = 500, "/bad"
    async with aiohttp.ClientSession() as http:
        with pytest.raises(EvaluationRefused, match="status 500, expected 200"):
            await answers(http, url, "m", rows(2), limits=[8, 8], concurrency=1)


@pytest.mark.parametrize("reason", ["abort", "error"])
async def test_an_answer_that_the_engine_broke_off_is_no_wrong_one(engine: tuple[Engine, str], reason: str) -> None:
    made, url = engine
    asked, made.names["m"] = rows(3), "/bad"
    made.broken_off[asked[1].text] = reason
    async with aiohttp.ClientSession() as http:
        with pytest.raises(EvaluationRefused, match=f"the answer ended with '{reason}', not by itself"):
            await answers(http, url, "m", asked, limits=[8] * 3, concurrency=1)


async def test_both_sides_answer_the_same_rows(engine: tuple[Engine, str]) -> None:
    _, url = engine
    dataset = Dataset([], [], rows(6, "a"), rows(4, "b", first=50), {})
    sides = ("new-1", Path("/adapters/good")), ("old-1", Path("/adapters/bad"))
    gate = await compare(RetrainSettings(), url, dataset, EXACT, *sides)
    assert gate.target == [(1.0, 0.0)] * 6
    assert gate.regression == [(0.0, 0.0)] * 4
    assert summary(gate) == {
        "judged_left_out_share": 0.0,
        "cut_candidate_share": 0.0,
        "cut_champion_share": 0.0,
        "target_candidate": 1.0,
        "target_champion": 0.0,
        "regression_candidate": 0.0,
        "regression_champion": 0.0,
    }


SAME_SIDES = ("new-1", Path("/adapters/bad")), ("old-1", Path("/adapters/bad"))
WON = ("new-1", Path("/adapters/good")), ("old-1", Path("/adapters/bad"))


@pytest.mark.parametrize(("margin", "asked"), [(0.1, 60), (0.0, 230)])
async def test_regression_rows_are_asked_only_until_they_tell(
    engine: tuple[Engine, str], margin: float, asked: int
) -> None:
    """Two that answer alike: soon shown to be no worse by ten points, never to be no worse at all."""
    made, url = engine
    dataset = Dataset([], [], rows(20), rows(230, first=50), {})
    made.spoken = {each.text: each.completion for each in (*dataset.validation, *dataset.regression)}
    settings = RetrainSettings(margin=margin, min_gain=0.0)
    gate = await compare(settings, url, dataset, EXACT, *SAME_SIDES)
    assert len(gate.target) == 20
    assert len(gate.regression) == asked


async def test_validation_rows_are_asked_until_they_tell_and_there_is_no_cap(engine: tuple[Engine, str]) -> None:
    """At first 80 at most: what was not proven by then never was, however many labels there were."""
    made, url = engine
    dataset = Dataset([], [], rows(600, "a"), rows(200, "a", first=700), {})
    gate = await compare(RetrainSettings(), url, dataset, EXACT, *WON)
    assert len(gate.target) == 20
    hard = rows(600, "a")
    made.spoken = {each.text: "a" if number % 4 else "b" for number, each in enumerate(hard)}
    alike = await compare(RetrainSettings(min_gain=0.0), url, Dataset([], [], hard, [], {}), EXACT, *WON)
    assert len(alike.target) == 600


async def test_a_group_that_does_not_tell_is_asked_on(engine: tuple[Engine, str]) -> None:
    made, url = engine
    fresh = [row(i, "a", tags={"language": "de" if i % 5 == 0 else "en"}) for i in range(200)]
    made.spoken = {each.text: "a" for each in fresh if each.tags["language"] == "de"}
    healthy = rows(100, "a", first=700)
    gate = await compare(RetrainSettings(), url, Dataset([], [], fresh, healthy, {}), EXACT, *WON)
    assert len(gate.target) > 40
    assert judge(gate).status == "promote"


async def test_rows_that_came_while_the_candidate_was_trained_are_asked_where_the_others_do_not_tell(
    engine: tuple[Engine, str],
) -> None:
    """A candidate with 14 points to gain was left undecided for want of rows that were there."""
    made, url = engine
    everything = rows(400, "a")
    made.spoken = {each.text: "a" for number, each in enumerate(everything) if number % 7}
    dataset = Dataset([], [], everything[:40], rows(300, "a", first=700), {})
    alone = await compare(RetrainSettings(), url, dataset, EXACT, *WON)
    assert judge(alone).status == "inconclusive"
    gate = await compare(RetrainSettings(), url, dataset, EXACT, *WON, later=lambda: everything[40:])
    assert judge(gate).status == "promote"
    assert 40 < len(gate.target) <= 400


@pytest.mark.slow
async def test_rows_that_take_long_to_gather_cost_no_connection() -> None:
    """Meanwhile the engine closed what was idle, and the first question after it ended the retraining."""
    made, everything = Engine(), rows(400, "a")
    made.spoken = {each.text: "a" for number, each in enumerate(everything) if number % 7}
    dataset = Dataset([], [], everything[:40], rows(300, "a", first=700), {})

    def later() -> list[Example]:
        time.sleep(1)
        return everything[40:]

    with made.apart(keep_idle_s=0.2) as url:
        gate = await compare(RetrainSettings(), url, dataset, EXACT, *WON, later=later)
    assert judge(gate).status == "promote"


async def test_a_question_whose_connection_is_closed_is_asked_once_more(engine: tuple[Engine, str]) -> None:
    made, url = engine
    asked = rows(8)
    made.names["m"], made.hangs_up[asked[3].text] = "/bad", 1
    async with aiohttp.ClientSession() as http:
        given = await answers(http, url, "m", asked, limits=[8] * 8, concurrency=1)
        assert [each.text for each in given] == [each.text for each in asked]
        made.hangs_up[asked[3].text] = 2
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await answers(http, url, "m", asked, limits=[8] * 8, concurrency=1)


LONG = " ".join(f"word{i}" for i in range(90))


async def test_a_perfect_candidate_with_long_answers_is_not_cut(engine: tuple[Engine, str]) -> None:
    """At first every answer ended after 32 tokens, and a candidate that was always right scored nothing."""
    made, url = engine
    fresh = [row(i, LONG) for i in range(60)]
    healthy = [row(i, "a") for i in range(100, 400)]
    made.spoken = {each.text: LONG for each in fresh}
    dataset = Dataset([], [], fresh, healthy, {})
    gate = await compare(RetrainSettings(), url, dataset, EXACT, *WON)
    assert gate.target == [(1.0, 1.0)] * len(gate.target)
    assert (gate.cut_candidate, gate.cut_champion) == (0, 0)
    short = await compare(RetrainSettings(max_tokens=32), url, dataset, EXACT, *WON)
    assert short.cut_candidate == short.cut_champion == len(short.target)
    verdict = judge(short)
    assert verdict.status == "inconclusive"
    assert "answers of the candidate ended at their limit of tokens, at most 10% may" in verdict.reason
    assert summary(short)["cut_candidate_share"] > 0.1


async def test_the_engines_context_bounds_the_limits(engine: tuple[Engine, str]) -> None:
    made, url = engine
    made.context = 60  # a row's text has 39 characters, and without a tokenizer a character may be a token
    dataset = Dataset([], [], [row(1, "a"), row(2, LONG)], [], {})
    gate = await compare(RetrainSettings(), url, dataset, EXACT, *WON)
    assert (len(gate.target), gate.left_out) == (1, {"prompt and label do not fit the model's context": 1})
    assert {each["max_tokens"] for each in made.asked} == {21}


async def test_a_row_that_the_engine_refuses_is_set_aside_and_counted(engine: tuple[Engine, str]) -> None:
    made, url = engine
    fresh, healthy = rows(60, "a"), rows(200, "a", first=700)
    made.refused = {fresh[3].text, healthy[0].text}
    gate = await compare(RetrainSettings(step_rows=60), url, Dataset([], [], fresh, healthy, {}), EXACT, *WON)
    assert (len(gate.target), gate.left_out) == (59, {"the engine refused the question": 2})
    assert judge(gate).status == "promote"
    assert "2 rows left out: the engine refused the question" in judge(gate).reason
    made.refused = {each.text for each in fresh}
    gate = await compare(RetrainSettings(), url, Dataset([], [], fresh, healthy, {}), EXACT, *WON)
    assert judge(gate).status == "inconclusive"


async def test_two_evaluations_on_one_engine_leave_each_others_adapters_alone(engine: tuple[Engine, str]) -> None:
    """At first the evaluation that began later unloaded the adapters of the other."""
    made, url = engine
    both = {"support-1": Path("/adapters/good"), "support-2": Path("/adapters/bad")}
    async with aiohttp.ClientSession() as http, loaded(http, url, both, evaluation="one") as first:
        async with loaded(http, url, both, evaluation="two") as second:
            assert set(made.names) == {"base", *first, *second}
        async with loaded(http, url, both) as third, loaded(http, url, both) as fourth:
            assert len({*first, *third, *fourth}) == 6
        assert set(made.names) == {"base", *first}
    assert set(made.names) == {"base"}


async def test_two_comparisons_at_once_come_to_their_verdicts(engine: tuple[Engine, str]) -> None:
    _, url = engine
    dataset = Dataset([], [], rows(60, "a"), rows(200, "a", first=700), {})
    gates = await asyncio.gather(*(compare(RetrainSettings(), url, dataset, EXACT, *WON) for _ in range(3)))
    assert [judge(gate).status for gate in gates] == ["promote"] * 3


async def test_what_a_killed_evaluation_left_goes_when_it_starts_again_or_is_old(engine: tuple[Engine, str]) -> None:
    made, url = engine
    adapter, hour = {"support-1": Path("/adapters/good")}, 3_600.0
    for evaluation, at in (("mine", 0.9), ("theirs", 0.9), ("anybodys", 0.0)):
        (name,) = names(evaluation, adapter, int(at * hour)).values()
        made.names[name] = "/adapters/bad"
    async with aiohttp.ClientSession() as http:
        now = {"stale_s": 0.5 * hour, "now_s": lambda: hour}
        async with loaded(http, url, adapter, evaluation="mine", **now) as held:  # type: ignore[arg-type]
            (others,) = names("theirs", adapter, int(0.9 * hour)).values()
            assert set(made.names) == {"base", others, *held}


async def test_an_adapter_that_cannot_be_unloaded_costs_no_verdict(engine: tuple[Engine, str]) -> None:
    made, url = engine
    async with aiohttp.ClientSession() as http, loaded(http, url, {"support-1": Path("/adapters/good")}) as (name,):
        del made.names[name]
    assert set(made.names) == {"base"}


def test_groups_come_from_tags() -> None:
    tagged = [row(1, tags={"language": "de"}), row(2, tags={"language": "en"}), row(3)]
    found = slices(tagged, [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
    assert found == {"language=de": [(1.0, 0.0)], "language=en": [(0.0, 1.0)]}


async def test_scores_compare_normalised() -> None:
    assert await EXACT.scores([row(1, "a").answered("A."), row(2, "c").answered(" b ")]) == [1.0, 0.0]


async def test_both_sides_are_judged_by_the_same_judge_and_what_is_unjudged_is_left_out(
    engine: tuple[Engine, str], tmp_path: Path
) -> None:
    """An answer of which the judge says nothing is no wrong one: its row counts for neither side."""
    _, url = engine
    fresh = rows(6, "a")
    (tmp_path / "rubric.md").write_text("Polite.")

    def judged(body: dict[str, Any]) -> str:
        prompt = body["messages"][0]["content"]
        if fresh[0].text in prompt:
            return "I cannot say."
        return "0.75" if "<answer>\na\n</answer>" in prompt else "0.25"

    async with JudgeServer(judged).serving() as judge_model:
        metric = ByRubric(rubric=tmp_path / "rubric.md", url=judge_model.url, model="judge")
        scorer = Scorer.of(metric, "support", tmp_path)
        gate = await compare(RetrainSettings(), url, Dataset([], [], fresh, rows(4, "b", first=50), {}), scorer, *WON)
    assert gate.target == [(0.75, 0.25)] * 5
    assert gate.left_out == {"an answer could not be judged": 1}
    assert summary(gate)["judged_left_out_share"] == pytest.approx(0.1)


async def test_a_candidate_does_not_win_by_answers_that_no_metric_can_read(
    engine: tuple[Engine, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its broken answers are left out as unjudged: what is left would look better than it is."""
    made, url = engine
    (tmp_path / "json_metric.py").write_text(
        "import json\ndef score(request, answer, truth):\n    return json.loads(answer['text'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    fresh = rows(200, "a")
    made.spoken = {each.text: "0" for each in fresh}
    made.better = {each.text: "1" if number % 5 else "1}" for number, each in enumerate(fresh)}
    scorer = Scorer.of({"callable": "json_metric:score"}, "support", tmp_path)
    gate = await compare(RetrainSettings(), url, Dataset([], [], fresh[:100], fresh[100:], {}), scorer, *WON)
    assert gate.target
    assert set(gate.target) == {(1.0, 0.0)}
    assert judge(gate).status == "inconclusive"
    assert "the candidate's answer alone could not be judged on" in judge(gate).reason


async def test_a_judge_that_is_away_leaves_the_verdict_open(engine: tuple[Engine, str], tmp_path: Path) -> None:
    _, url = engine
    (tmp_path / "rubric.md").write_text("Polite.")
    metric = ByRubric(rubric=tmp_path / "rubric.md", url="http://127.0.0.1:9/v1", model="judge", tries=1)
    scorer = Scorer.of(metric, "support", tmp_path)
    gate = await compare(RetrainSettings(), url, Dataset([], [], rows(30, "a"), rows(30, "a"), {}), scorer, *WON)
    assert (gate.target, judge(gate).status) == ([], "inconclusive")
    assert "an answer could not be judged" in judge(gate).reason
