"""A row is asked again as it was served: what shapes an answer goes along, chance does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from retrain.data.example import Example
from retrain.evaluation.engine.replay import CHAT, COMPLETIONS, replay
from retrain.evaluation.evaluate import answers
from serving.gateway.openai.request_body import Operation, parse
from streams.messages import Message
from tests.retrain.support.engine import Engine
from tests.retrain.support.rows import row

TOOL = {"type": "function", "name": "block", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def served(operation: Operation, **body: Any) -> Example:
    """The row that is kept of a request, as the gateway reads it."""
    asked = parse(msgspec.json.encode({"model": "support", **body}), operation)
    request = {name: msgspec.json.decode(raw) for name, raw in asked.deciding().items()}
    return row(1, messages=asked.messages(), request=request)


def test_what_shapes_an_answer_goes_along_and_what_draws_it_does_not() -> None:
    body: dict[str, Any] = {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is it?"}],
        "stop": ["\n"],
        "frequency_penalty": 0.5,
        "logit_bias": {"7": -100},
        "tools": [{"type": "function", "function": {"name": "block"}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_object"},
    }
    chance = {"temperature": 1.5, "top_p": 0.3, "seed": 7, "n": 3, "top_k": 4}
    found = replay(served(Operation.CHAT, **body, **chance), "m", 9)
    assert found.path == CHAT
    assert found.body == {**body, "model": "m", "temperature": 0, "max_tokens": 9}


def test_a_raw_prompt_is_asked_without_a_chat_template() -> None:
    found = replay(served(Operation.COMPLETION, prompt="The sky is", stop=".", temperature=1, tools=[TOOL]), "m", 9)
    assert found == (
        COMPLETIONS,
        {"model": "m", "prompt": "The sky is", "stop": ".", "temperature": 0, "max_tokens": 9},
        False,
    )


def test_a_response_is_asked_as_the_chat_that_it_is() -> None:
    form = {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}
    asked = served(
        Operation.RESPONSE,
        input="Block it.",
        instructions="Be brief.",
        tools=[TOOL],
        tool_choice={"type": "function", "name": "block"},
        text={"format": form},
        reasoning={"effort": "low"},
    )
    body = replay(asked, "m", 9).body
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Block it."},
    ]
    assert (
        body["tools"]
        == asked.tools
        == [{"type": "function", "function": {"name": "block", "parameters": {"type": "object"}}}]
    )
    assert body["tool_choice"] == {"type": "function", "function": {"name": "block"}}
    schema = {"name": "answer", "schema": SCHEMA, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert body["reasoning_effort"] == "low"


@pytest.mark.parametrize(("given", "limit"), [({"max_tokens": 2}, 2), ({"max_completion_tokens": 3}, 3), ({}, 4)])
async def test_an_answer_that_ends_at_its_clients_limit_is_not_cut(given: dict[str, int], limit: int) -> None:
    """It is what clients get; one that ends at the evaluation's own limit could not be measured."""
    made = Engine()
    asked = [
        row(1, "x", messages=[Message("user", "a b c d e f g")], request=given),
        row(2, "x", messages=[Message("text", "a b c d e f g")], request=given),
    ]
    made.names["m"] = str(Path("/bad"))
    async with made.serving() as url, aiohttp.ClientSession() as http:
        found = await answers(http, url, "m", asked, limits=[4, 4], concurrency=1)
    assert [len(each.text.split()) for each in found] == [limit, limit]
    assert [each.cut for each in found] == [not given] * 2
