"""A function of the operator's: it gets the whole request, and whatever it does costs no more than its row."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from streams.messages import Message, ToolCall, chat_message
from streams.scoring.dotted import MOST_STUCK, THREADS, CallableGrader, checked, imported
from streams.scoring.rows import AnsweredRow, Unjudged, chat_choice

AT = "scoring.metrics.support.callable"
MODULE = """
import time
async def later(request, answer, truth): return 1.0
def two(request, answer): return 1.0
class Metric:
    def __call__(self, request, answer, truth): return 0.5
metric, seven = Metric(), 7
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "house_metric.py").write_text(MODULE)
    (tmp_path / "broken_metric.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("house_metric", None)


def row(text: str = "Hello.", truth: str | None = "Hi.") -> AnsweredRow:
    return AnsweredRow({"messages": []}, text, [chat_choice(text, [], "stop")], truth)


@pytest.mark.parametrize(
    ("dotted", "wrong"),
    [
        ("no_such.module:score", r"which cannot be imported \(ModuleNotFoundError"),
        ("broken_metric:score", r"cannot be imported \(ZeroDivisionError"),
        ("house_metric:lost", r"cannot be imported \(AttributeError"),
        ("house_metric.seven", r"a int, expected a plain function"),
        ("house_metric:later", r"expected a plain function"),
        ("house_metric:two", r"expected a function \(request, answer, truth\): too many positional"),
    ],
)
def test_what_cannot_be_called_is_refused_at_the_start(dotted: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as raised:
        imported(dotted, AT)
    assert f"{AT} is '{dotted}'" in str(raised.value)


async def test_both_ways_to_name_it() -> None:
    for dotted in ("house_metric:metric", "house_metric.metric"):
        assert await CallableGrader(imported(dotted, AT), 5.0).scores([row()]) == [0.5]


async def test_it_gets_the_whole_request_and_answer_off_the_event_loop() -> None:
    got: list[Any] = []

    def score(request: dict[str, Any], answer: dict[str, Any], truth: str | None) -> float:
        got.append((request, answer, truth, threading.current_thread() is threading.main_thread()))
        return 1.0

    tools = [{"type": "function", "function": {"name": "block"}}]
    call = chat_choice("", [ToolCall("block", '{"card": 7}', "c")], "tool_calls")
    asked = {"tools": tools, "messages": [{"role": "user", "content": "Block it."}]}
    assert await CallableGrader(score, 5.0).scores([AnsweredRow(asked, "[...]", [call])]) == [1.0]
    ((request, answer, truth, main),) = got
    assert (request, truth, main) == (asked, None, False)
    function = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (answer["text"], function) == ("[...]", {"name": "block", "arguments": '{"card": 7}'})


async def test_one_that_raises_or_returns_something_else_leaves_its_row_unjudged() -> None:
    results: dict[str, Any] = {"0.5": 0.5, "1": 1, "true": True}
    results |= {"numpy": np.float32(0.25), "numpy's yes": np.bool_(True)}
    results |= {"7": 7, "nan": float("nan"), "text": "0.5", "none": None}

    def score(_: dict[str, Any], answer: dict[str, Any], truth: str | None) -> Any:
        if answer["text"] == "exit":
            raise SystemExit(3)
        return results[answer["text"]]

    found = await CallableGrader(score, 5.0).scores([row(text) for text in (*results, "key error", "exit")])
    assert found == [0.5, 1.0, 1.0, 0.25, 1.0, *[Unjudged.OUTSIDE] * 4, Unjudged.RAISED, Unjudged.RAISED]


async def test_each_reason_is_logged_once() -> None:
    grader = CallableGrader(lambda request, answer, truth: 1 / 0, 5.0)
    with capture_logs() as logs:
        assert await grader.scores([row()] * 5) == [Unjudged.RAISED] * 5
        assert await grader.scores([row()]) == [Unjudged.RAISED]
    assert [each["detail"] for each in logs] == ["ZeroDivisionError: division by zero"]


async def test_one_that_never_ends_holds_up_nothing_and_is_called_no_more_at_last() -> None:
    end, calls = threading.Event(), []

    def hang(*_: object) -> float:
        calls.append(1)
        end.wait(30)
        return 1.0

    grader = CallableGrader(hang, 0.02)
    assert await grader.scores([row()] * 20) == [Unjudged.SLOW] * 20
    assert MOST_STUCK <= len(calls) < MOST_STUCK + THREADS
    end.set()
    for _ in range(200):
        if (found := await grader.scores([row()])) == [1.0]:
            break
        await asyncio.sleep(0.01)
    assert found == [1.0], "once they have ended it is called again"


@pytest.mark.parametrize("error", [StopIteration(), GeneratorExit(), asyncio.CancelledError()])
async def test_no_error_is_taken_for_a_call_that_never_ends(error: BaseException) -> None:
    """`next` without a default raises StopIteration, which no task takes: every call with it was one that hangs."""

    def failing(*_: object) -> float:
        raise error

    grader = CallableGrader(failing, 5.0)
    assert await grader.scores([row()] * (MOST_STUCK + THREADS)) == [Unjudged.RAISED] * (MOST_STUCK + THREADS)


async def test_one_whose_error_has_no_text_costs_its_row_alone() -> None:
    class TextlessError(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    def failing(_: dict[str, Any], answer: dict[str, Any], truth: str | None) -> float:
        if answer["text"] == "a":
            raise TextlessError
        return 1.0

    assert await CallableGrader(failing, 5.0).scores([row("a"), row("b")]) == [Unjudged.RAISED, 1.0]


async def test_what_it_changes_of_a_request_no_other_answer_feels() -> None:
    """Champion and candidate answer the same request: the second one's was empty."""

    def asks(request: dict[str, Any], *_: object) -> float:
        return float(len(request["messages"][0].pop("content")) > 0)

    asked = AnsweredRow({"messages": [{"role": "user", "content": "Block it."}]}, "a", [])
    assert await CallableGrader(asks, 5.0).scores([asked, asked._replace(text="b")]) == [1.0, 1.0]


async def test_a_time_out_of_its_own_is_an_error() -> None:
    def late(*_: object) -> float:
        raise TimeoutError

    assert await CallableGrader(late, 5.0).scores([row()]) == [Unjudged.RAISED]


def test_a_score_is_a_number_from_0_to_1() -> None:
    with pytest.raises(ValueError, match=r"the result is 1\.5, expected a number from 0 to 1"):
        checked(1.5)


def test_a_row_is_rendered_with_its_roles() -> None:
    called = Message("assistant", "", [ToolCall("find", "{}")])
    messages = [chat_message(each) for each in (Message("user", "Block it."), called, Message("tool", "7"))]
    asked = AnsweredRow({"messages": messages}, "", [])
    assert asked.question == "user: Block it.\n\nassistant: \nfind({})\n\ntool: 7"
