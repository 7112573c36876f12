"""Whole requests and whole answers: an event holds what was asked and answered, so that it can be asked again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from monitor.describe.pii import mask
from serving.gateway.masking import Masker
from serving.gateway.openai.messages import messages
from streams import codec
from streams.events import InferenceServed
from streams.messages import Message, ReplyChoice, ToolCall
from tests.serving.support.scene import BODY, Scene

TOOL = {
    "type": "function",
    "function": {"name": "block", "parameters": {"type": "object", "examples": ["ann@example.org"]}},
}
SHAPE = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
WISHES = {
    "tools": [TOOL],
    "tool_choice": "auto",
    "response_format": SHAPE,
    "temperature": 0.3,
    "stop": ["x"],
    "seed": 7,
}
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "block", "arguments": '{"who": "ann@example.org", "card": 7}'},
}
CONVERSATION = [
    {"role": "user", "content": "Block it."},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": '{"to": "ann@example.org", "card": 4111111111111111}'},
    {"role": "user", "content": "Thanks."},
]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene().running() as scene:
        yield scene


async def kept(scene: Scene) -> InferenceServed:
    """The event as readers of the log get it."""
    (event,) = await scene.served()
    return codec.decode(InferenceServed, codec.encode(event))


async def test_what_decides_the_answer_is_kept_with_private_data_masked_within_its_values(scene: Scene) -> None:
    await scene.post(body={**BODY, **WISHES, "user": "ann", "metadata": {"a": "b"}, "max_tokens": None})
    event = await kept(scene)
    tools = json.loads(json.dumps(WISHES["tools"]).replace("ann@example.org", "[email]"))
    assert json.loads(mask(json.dumps(event.request))) == {**WISHES, "tools": tools}
    assert (event.schema_version, event.cut) == (2, [])


async def test_calls_and_tools_answers_are_kept_as_they_were_sent(scene: Scene) -> None:
    await scene.post(body={**BODY, "messages": CONVERSATION})
    event = await kept(scene)
    assert msgspec.json.decode(mask(msgspec.json.encode(event.input_messages).decode()), type=list[Message]) == [
        Message("user", "Block it."),
        Message("assistant", "", [ToolCall("block", '{"who":"[email]","card":7}', "c1")]),
        Message("tool", '{"to":"[email]","card":[card]}', tool_call_id="c1"),
        Message("user", "Thanks."),
    ]


async def test_every_choice_is_kept(scene: Scene) -> None:
    for engine in scene.engines:
        engine.script = [
            [
                {"index": 0, "message": {"content": "One.", "reasoning": "Hm."}, "finish_reason": "stop"},
                {"index": 1, "message": {"content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"},
            ]
        ]
    await scene.post(body={**BODY, "n": 2})
    event = await kept(scene)
    assert msgspec.json.decode(mask(msgspec.json.encode(event.choices).decode()), type=list[ReplyChoice]) == [
        ReplyChoice("One.", "Hm.", finish_reason="stop"),
        ReplyChoice(tool_calls=[ToolCall("block", '{"who":"[email]","card":7}', "c1")], finish_reason="tool_calls"),
    ]
    assert (event.output, event.comparable, event.request) == ("One.", False, {"n": 2})


async def test_one_text_is_kept_once(scene: Scene) -> None:
    await scene.post()
    assert (await kept(scene)).choices == []


async def test_user_and_conversation_are_kept_apart_and_by_pseudonyms(scene: Scene) -> None:
    await scene.post(body={**BODY, "user": "ann"}, headers={"x-session-id": "chat-1"})
    await scene.post(body=BODY, headers={"x-session-id": "chat-1"})
    both, alone = await scene.served(2)
    assert both.user
    assert both.conversation == alone.conversation != ""
    assert (both.client, alone.client) == (f"app/{both.user}", f"app/{both.conversation}")
    assert alone.user == ""
    assert "ann" not in codec.encode(both).decode()
    assert "chat-1" not in codec.encode(both).decode()


async def test_what_is_too_long_is_named() -> None:
    other = Scene()
    other.settings = replace(other.settings, capture_chars=2_000)
    async with other.running():
        for engine in other.engines:
            engine.script = [
                [{"index": 0, "message": {"content": "x" * 5_000, "reasoning": "y" * 5_000}, "finish_reason": "stop"}]
            ]
        asked = [{"role": "user", "content": "z" * 20_000}]
        await other.post(body={**BODY, "messages": asked, "tools": [TOOL] * 40, "temperature": 0.3})
        event = await kept(other)
    assert event.cut == ["input_messages", "output", "choices", "request.tools"]
    assert (event.comparable, event.request) == (False, {"temperature": 0.3})
    assert len(codec.encode(event)) < 12_000


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"type": "image_url"}, "[image_url]"),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
            "[image_url image/png 5 bytes 2cf24dba5fb0a30e]",
        ),
        ({"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": "wav"}}, "[input_audio 5 bytes"),
        ({"type": "image_url", "image_url": {"url": "https://x.org/a.png?key=secret"}}, "[image_url elsewhere "),
        ({"type": "input_image", "image_url": "data:image/jpeg;base64,aGVsbG8="}, "[input_image image/jpeg 5 bytes"),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGVsbG8="}},
            "[file application/pdf 5 bytes",
        ),
        ({"type": "text", "text": "hello"}, "hello"),
        ({"type": ["odd"], "image_url": 7}, "[part]"),
    ],
)
def test_what_is_no_text_is_named_by_type_size_and_digest(part: dict[str, Any], shown: str) -> None:
    (message,) = messages([{"role": "user", "content": [part]}])
    assert message.content.startswith(shown)
    assert "secret" not in message.content
    assert "aGVs" not in message.content


def test_a_responses_items_are_messages() -> None:
    items: list[Any] = [
        {"type": "function_call", "call_id": "c", "name": "block", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "done"},
        {"role": "user", "content": [{"type": "input_text", "text": "Thanks."}]},
        "odd",
    ]
    assert messages(items) == [
        Message("assistant", "", [ToolCall("block", "{}", "c")]),
        Message("tool", "done", tool_call_id="c"),
        Message("user", "Thanks."),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        {"tool_calls": "x"},
        {"tool_calls": [7, {"function": "x"}, {"function": {"name": 7, "arguments": [1]}}]},
        {"function_call": []},
        {"tool_call_id": 7},
        {"content": {"text": 1}},
    ],
)
def test_odd_messages_are_no_error(odd: dict[str, Any]) -> None:
    assert len(messages([{"role": "assistant", **odd}])) == 1


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"a": "ann@example.org"}', '{"a":"[email]"}'),
        ('{"a": "ann\\u0040example.org"}', '{"a":"[email]"}'),
        ('{"a": [4111111111111111, 1.5, true, null]}', '{"a":[[card],1.5,true,null]}'),
        ('{"ann@example.org": 1}', '{"[email]":1}'),
        ('{"a": "x"}', '{"a": "x"}'),
        ("[see ann@example.org]", "[see [email]]"),
        ('{"a": "ann@example.org"', '{"a": "[email]"'),
        ("[" * 5_000 + '"ann@example.org"' + "]" * 5_000, "[" * 5_000 + '"[email]"' + "]" * 5_000),
    ],
)
def test_json_stays_json(text: str, masked: str) -> None:
    assert mask(Masker(["email", "card"], b"k").whole(text)) == masked


async def test_what_is_nested_deeper_than_it_can_be_masked_is_left_out_and_named(scene: Scene) -> None:
    deep = '{"a":' * 700 + '"ann@example.org"' + "}" * 700
    body = json.dumps({**BODY, "seed": 7}).removesuffix("}") + f', "tools": [{deep}]}}'
    assert (await scene.post(body=body.encode())).status == 200
    event = await kept(scene)
    assert (event.request, event.cut) == ({"seed": 7}, ["request.tools"])


@pytest.mark.parametrize("value", ["1e999", '[{"x": -1e999}]'])
async def test_what_no_reader_could_read_is_left_out_and_the_reply_is_kept(scene: Scene, value: str) -> None:
    body = json.dumps({**BODY, "seed": 7, "chat_template_kwargs": None}).replace("null", value)
    assert (await scene.post(body=body.encode())).status == 200
    event = await kept(scene)
    assert (event.cut, event.request) == (["request.chat_template_kwargs"], {"seed": 7})


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "tool_call_id": "i" * 900_000, "content": "x"},
        {"role": "assistant", "tool_calls": [{**CALL, "id": "i" * 900_000}]},
    ],
)
async def test_long_ids_of_calls_make_no_long_event(scene: Scene, message: dict[str, Any]) -> None:
    await scene.post(body={**BODY, "messages": [message]})
    event = await kept(scene)
    assert event.cut == ["input_messages"]
    assert len(codec.encode(event)) < 10_000
