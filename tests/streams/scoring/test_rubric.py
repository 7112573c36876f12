"""A judge model behind a real server: what it answers is a score, and whatever else it does leaves rows unjudged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streams.scoring.asking.client import MOST_BYTES
from streams.scoring.asking.memory import JudgeMemory
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.rubric import RubricGrader
from streams.scoring.settings import ByRubric
from tests.streams.support.judge_server import JudgeServer
from tests.support.waiting import wait

DAY = 20_000
Make = Callable[..., RubricGrader]


class Clock:
    def __init__(self) -> None:
        self.now_s = DAY * 86_400.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def judge() -> AsyncIterator[JudgeServer]:
    async with JudgeServer().serving() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(judge: JudgeServer, clock: Clock, tmp_path: Path) -> Make:
    """A grader; each one made is another process with the same memory."""
    (tmp_path / "rubric.md").write_text("Polite, and to the point.")
    settings = ByRubric(rubric=tmp_path / "rubric.md", url=judge.url, model="judge", back_off_s=0.001)

    def made(environment: dict[str, str] | None = None, **changes: Any) -> RubricGrader:
        changed = replace(settings, **changes)
        memory = tmp_path / "scoring" / "judge.sqlite"
        return RubricGrader(changed, "support", memory, environment=environment or {}, now_s=clock)

    return made


def row(text: str, truth: str | None = None) -> AnsweredRow:
    return AnsweredRow({"messages": [{"role": "user", "content": "Where is my card?"}]}, text, [], truth)


async def test_it_is_asked_with_rubric_question_answer_and_truth_for_a_structured_score(
    judge: JudgeServer, make: Make
) -> None:
    assert await make(body={"seed": 3}).scores([row("On its way.", "It comes tomorrow.")]) == [0.75]
    (body,) = judge.bodies
    prompt = body["messages"][0]["content"]
    assert all(text in prompt for text in ("Polite, and", "Where is my card?", "On its way.", "It comes tomorrow."))
    schema = body["response_format"]["json_schema"]["schema"]
    assert (body["model"], body["temperature"], body["seed"]) == ("judge", 0, 3)
    assert (schema["required"], schema["properties"]["score"]["maximum"]) == (["score"], 1)


@pytest.mark.parametrize(
    ("content", "score"),
    [
        ('{"score": 1}', 1.0),
        (' {"score": 0.25, "why": "curt"}\n', 0.25),
        ("0.5", 0.5),
        ("0", 0.0),
        ("7", Unjudged.NONSENSE),
        ("-0.1", Unjudged.NONSENSE),
        ("NaN", Unjudged.NONSENSE),
        ("true", Unjudged.NONSENSE),
        ('{"score": "0.5"}', Unjudged.NONSENSE),
        ('{"score": true}', Unjudged.NONSENSE),
        ('{"grade": 0.5}', Unjudged.NONSENSE),
        ("It is a good answer: 0.9", Unjudged.NONSENSE),
        ("", Unjudged.NONSENSE),
        ("[" * 5_000, Unjudged.NONSENSE),
    ],
)
async def test_only_a_score_is_a_score(judge: JudgeServer, make: Make, content: str, score: float | Unjudged) -> None:
    judge.content = content
    assert await make().scores([row("On its way.")]) == [score]


@pytest.mark.parametrize("body", ["<html>", "{}", '{"choices": []}', '{"choices": [{"message": {"content": null}}]}'])
async def test_what_is_no_completion_is_nonsense(judge: JudgeServer, make: Make, body: str) -> None:
    judge.body = body
    assert await make().scores([row("On its way.")]) == [Unjudged.NONSENSE]


async def test_one_that_floods_is_cut(judge: JudgeServer, make: Make) -> None:
    """Its answer would be a score, at its end."""
    judge.body = " " * (3 * MOST_BYTES) + '{"choices": [{"message": {"content": "1"}}]}'
    grader = make(concurrency=1, tokens_per_day=MOST_BYTES // 4)
    assert await grader.scores([row("a"), row("b")]) == [Unjudged.NONSENSE, Unjudged.BUDGET]


async def test_an_overloaded_judge_is_asked_again(judge: JudgeServer, make: Make) -> None:
    judge.statuses, judge.retry_after = [429, 503], "0"
    assert await make().scores([row("On its way.")]) == [0.75]
    assert len(judge.bodies) == 3


@pytest.mark.parametrize("status", [401, 404, 500, 302])
async def test_a_judge_that_is_away_is_left_alone_for_a_while_and_then_asked_again(
    judge: JudgeServer, make: Make, clock: Clock, status: int
) -> None:
    judge.statuses = [status] * 3
    grader = make()
    assert await grader.scores([row("a")]) == [Unjudged.AWAY]
    assert await grader.scores([row("b")]) == [Unjudged.AWAY]
    assert len(judge.bodies) == 3, "three tries for the first row, none for the second"
    clock.now_s += 61.0
    assert await grader.scores([row("a"), row("b")]) == [0.75, 0.75]


async def test_one_that_cannot_be_reached_or_hangs_is_away(judge: JudgeServer, make: Make) -> None:
    assert await make(url="http://127.0.0.1:9/v1").scores([row("a")]) == [Unjudged.AWAY]
    judge.hangs = True
    assert await make(timeout_s=0.05, tries=2).scores([row("a")]) == [Unjudged.AWAY]
    assert len(judge.bodies) == 2


async def test_a_row_that_it_refuses_holds_up_no_other(judge: JudgeServer, make: Make) -> None:
    judge.statuses = [413, 413]
    grader = make(concurrency=1)
    assert await grader.scores([row("long"), row("b")]) == [Unjudged.REFUSED, 0.75]
    assert "response_format" in judge.bodies[-1], "it takes structured answers all the same"


async def test_a_judge_without_structured_answers_is_asked_for_a_bare_number(judge: JudgeServer, make: Make) -> None:
    judge.unstructured, judge.content = True, "0.5"
    grader = make()
    assert await grader.scores([row("a")]) == [0.5]
    assert await grader.scores([row("b")]) == [0.5]
    assert ["response_format" in body for body in judge.bodies] == [True, False, False]


async def test_the_same_row_is_asked_once_by_all_processes_ever(judge: JudgeServer, make: Make) -> None:
    assert await make().scores([row("a"), row("a"), row("b")]) == [0.75] * 3
    assert await make().scores([row("b"), row("a")]) == [0.75] * 2
    assert len(judge.bodies) == 2
    await make().scores([row("a", truth="b")])
    await make(model="another").scores([row("a")])
    assert len(judge.bodies) == 4, "another truth and another judge are other questions"


async def test_nonsense_is_not_kept(judge: JudgeServer, make: Make) -> None:
    judge.content = "well"
    assert await make().scores([row("a")]) == [Unjudged.NONSENSE]
    judge.content = "1"
    assert await make().scores([row("a")]) == [1.0]


async def test_the_days_calls_are_the_bound_of_all_processes(judge: JudgeServer, make: Make, clock: Clock) -> None:
    first = await make(calls_per_day=3, concurrency=1).scores([row(text) for text in "abcd"])
    assert first == [0.75, 0.75, 0.75, Unjudged.BUDGET]
    assert await make(calls_per_day=3).scores([row("a"), row("e")]) == [0.75, Unjudged.BUDGET]
    assert len(judge.bodies) == 3
    clock.now_s += 86_400
    assert await make(calls_per_day=3).scores([row("e")]) == [0.75]


@pytest.mark.parametrize("counted", [True, False])
async def test_the_days_tokens_are_a_bound(judge: JudgeServer, make: Make, counted: bool) -> None:
    judge.usage = {"total_tokens": 300} if counted else None
    found = await make(tokens_per_day=400, concurrency=1).scores([row(text) for text in "abc"])
    assert found == [0.75, 0.75, Unjudged.BUDGET], "a judge that does not count its tokens has them estimated"


async def test_each_try_is_paid(judge: JudgeServer, make: Make) -> None:
    judge.statuses = [503] * 9
    assert await make(calls_per_day=2).scores([row("a")]) == [Unjudged.BUDGET]
    assert len(judge.bodies) == 2


async def test_rows_are_asked_so_many_at_once(judge: JudgeServer, make: Make) -> None:
    judge.hangs = True
    found = asyncio.create_task(make(concurrency=3).scores([row(text) for text in "abcdefgh"]))
    await asyncio.to_thread(wait, lambda: judge.waiting == 3)
    judge.slow.set()
    assert await found == [0.75] * 8
    assert judge.most_waiting == 3


async def test_its_key_comes_from_a_file_or_the_environment(judge: JudgeServer, make: Make, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    await make({"HOMEOSTAT_JUDGE_KEY": "from-environment"}).scores([row("a")])
    await make({"HOMEOSTAT_JUDGE_KEY": "other"}, key_file=tmp_path / "key").scores([row("b")])
    await make({"MINE": "mine"}, key_env="MINE").scores([row("c")])
    await make().scores([row("d")])
    assert judge.keys == ["Bearer from-environment", "Bearer from-file", "Bearer mine", ""]
    with pytest.raises(ValueError, match=r"scoring\.metrics\.support\.key_file is .*lost.* can be read"):
        make(key_file=tmp_path / "lost")
    with pytest.raises(ValueError, match=r"support\.key_env is 'MINE', expected one line of ASCII there") as raised:
        make({"MINE": "secret\nx-head: 1"}, key_env="MINE")
    assert "secret" not in str(raised.value)


async def test_a_prompt_of_the_operators_has_its_places_filled_once(
    judge: JudgeServer, make: Make, tmp_path: Path
) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text('{rubric}|{question}|{answer}|{truth}|{"score": 0.5}')
    await make(prompt=path).scores([row("{truth} {rubric}", "Yes.")])
    assert judge.prompts == ['Polite, and to the point.|Where is my card?|{truth} {rubric}|Yes.|{"score": 0.5}']


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{rubric} {awnser}", r"\{awnser\} is no place, expected question, answer, truth, rubric"),
        ("{rubric}", r"\{answer\} is missing"),
        (" ", "which is empty"),
    ],
)
def test_a_prompt_with_a_wrong_place_is_refused(make: Make, tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=wrong) as raised:
        make(prompt=path)
    assert "scoring.metrics.support.prompt" in str(raised.value)


async def test_without_its_memory_nothing_is_asked(judge: JudgeServer, make: Make, tmp_path: Path) -> None:
    """There would be no bound on what it costs."""
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring" / "judge.sqlite").write_text("no database at all, whatever its name says" * 40)
    assert await make().scores([row("a")]) == [Unjudged.AWAY]
    assert judge.bodies == []


def test_old_scores_go_and_no_text_is_kept(tmp_path: Path) -> None:
    memory = JudgeMemory(tmp_path / "judge.sqlite")
    memory.keep(b"old", 0.5, DAY)
    memory.keep(b"new", 0.25, DAY + 31)
    assert memory.known([b"old", b"new"]) == {b"new": 0.25}
    assert memory.take("support", DAY, calls=1, tokens=0) is False
    memory.pay("support", DAY, 7)
    assert memory.spent("support", DAY) == (0, 7)


def test_processes_that_ask_at_once_keep_the_days_bound(tmp_path: Path) -> None:
    """Each has a connection of its own, as processes have."""

    def ask(_: int) -> int:
        memory = JudgeMemory(tmp_path / "judge.sqlite")
        return sum(memory.take("support", DAY, calls=50, tokens=1_000) for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 50
    assert JudgeMemory(tmp_path / "judge.sqlite").spent("support", DAY) == (50, 0)
