"""What else of OpenAI's interface passes: responses, embeddings, tools, structured output, the client of today."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import openai
import pytest

from serving.gateway.openai import responses_api
from serving.gateway.openai.answer import CollectedAnswer
from streams.events import InferenceServed
from tests.serving.support.scene import BODY, OLD, Scene

TEXT = "Card arrival."
TOOL = {"type": "function", "function": {"name": "block_card", "parameters": {"type": "object", "properties": {}}}}
SHAPE = {"type": "json_schema", "json_schema": {"name": "ticket", "schema": {"type": "object"}}}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene().running() as running:
        yield running


async def test_a_response_passes_and_is_understood(scene: Scene) -> None:
    async with scene.client as client:
        response = await client.responses.create(model="support", input="Where is it?", instructions="Be brief.")
        assert (response.output_text, response.model) == (TEXT, OLD)
    (event,) = await scene.served()
    assert (event.operation, event.output, event.finish_reason) == ("response", TEXT, "completed")
    assert [(m.role, m.content) for m in event.input_messages] == [("system", "Be brief."), ("user", "Where is it?")]
    assert (event.input_tokens, event.output_tokens, event.logprob_mean) == (7, 3, None)
    (body,) = [body for engine in scene.engines for body in engine.bodies]
    assert body == {"model": OLD, "input": "Where is it?", "instructions": "Be brief."}


async def test_a_responses_stream_passes_event_by_event(scene: Scene) -> None:
    messages: Any = [{"role": "user", "content": [{"type": "input_text", "text": "Where?"}]}]
    async with scene.client as client:
        stream: Any = await client.responses.create(model="support", input=messages, stream=True)
        kinds = [event.type async for event in stream]
    assert kinds == ["response.created", *["response.output_text.delta"] * 3, "response.completed"]
    (event,) = await scene.served()
    assert (event.output, event.status, event.streamed, event.output_tokens) == (TEXT, 200, True, 3)
    assert event.input_messages[0].content == "Where?"
    assert 0 < event.ttft_ms <= event.latency_ms


@pytest.mark.parametrize(
    ("kind", "fields", "pieces"),
    [
        ("response.output_text.delta", {"delta": "Card"}, 1),
        ("response.reasoning_text.delta", {"delta": "Hm."}, 1),
        ("response.reasoning_summary_text.delta", {"delta": "Hm."}, 1),
        ("response.refusal.delta", {"delta": "No."}, 1),
        ("response.function_call_arguments.delta", {"delta": "{"}, 1),
        ("response.output_item.added", {"item": {"type": "function_call", "name": "refund"}}, 1),
        ("response.output_item.added", {"item": {"type": "message", "content": []}}, 0),
        ("response.output_text.delta", {"delta": ""}, 0),
        ("response.output_text.done", {"text": "Card"}, 0),
        ("response.created", {"response": {"status": "in_progress", "output": []}}, 0),
    ],
)
def test_a_responses_first_token_is_of_any_kind(kind: str, fields: dict[str, Any], pieces: int) -> None:
    answer = CollectedAnswer()
    responses_api.take_event(answer, f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}".encode())
    assert answer.pieces == pieces


async def test_an_endpoint_that_the_engine_lacks_is_reported_as_such(scene: Scene) -> None:
    reply = await scene.post("/v1/embeddings", {"model": "support", "input": ["a", "b"]})
    assert reply.status == 404
    assert "does not serve /v1/embeddings" in reply.error["message"]
    (event,) = await scene.served()
    assert (event.operation, event.status, [m.content for m in event.input_messages]) == ("embedding", 404, ["a", "b"])


@pytest.mark.parametrize("stream", [False, True])
async def test_tools_structure_and_sampling_reach_the_engine_byte_for_byte(scene: Scene, stream: bool) -> None:
    odd = {
        "seed": 12345678901234567890123,
        "temperature": 0.30000000000000004,
        "extra": {"b": 1, "a": [None, "\u2028"]},
    }
    given = {**BODY, **odd, "tools": [TOOL], "response_format": SHAPE, "stop": ["x"], "n": 2, "stream": stream}
    await scene.post(body=json.dumps(given).encode())
    (body,) = [body for engine in scene.engines for body in engine.bodies]
    assert {name: body[name] for name in given if name != "model"} == {k: v for k, v in given.items() if k != "model"}


def test_openais_blocking_client_works_too() -> None:
    async def scenes() -> tuple[str, str, list[InferenceServed]]:
        async with Scene().running() as scene:
            whole, streamed = await asyncio.to_thread(blocking, scene.url("/v1"))
            return whole, streamed, await scene.served(2)

    def blocking(url: str) -> tuple[str, str]:
        with openai.OpenAI(base_url=url, api_key="secret", max_retries=0) as client:
            whole = client.chat.completions.create(**BODY)
            stream = client.chat.completions.create(**BODY, stream=True)
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
            return whole.choices[0].message.content or "", "".join(pieces)

    whole, streamed, events = asyncio.run(scenes())
    assert whole == streamed == TEXT
    assert [event.status for event in events] == [200, 200]


async def test_a_trace_goes_on_to_the_engine(scene: Scene) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await scene.post(headers={"traceparent": trace, "x-secret": "no"})
    (headers,) = [headers for engine in scene.engines for headers in engine.headers]
    assert headers["traceparent"] == trace
    assert "x-secret" not in headers
    assert "authorization" not in headers


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {**BODY, "prompt_logprobs": 0}, "prompt_logprobs"),
        ("/v1/completions", {"model": "support", "prompt": "x", "prompt_logprobs": 1}, "prompt_logprobs"),
        ("/v1/completions", {"model": "support", "prompt": "x", "echo": True, "logprobs": 0}, "echo"),
    ],
)
async def test_what_would_end_an_engine_is_refused_unless_it_is_allowed(
    path: str, body: dict[str, Any], param: str
) -> None:
    async with Scene().running() as scene:
        reply = await scene.post(path, body)
        assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, "not_supported")
        assert sum(len(engine.bodies) for engine in scene.engines) == 0
    allowed = Scene()
    allowed.settings = replace(allowed.settings, prompt_logprobs=True)
    async with allowed.running():
        assert (await allowed.post(path, body)).status == 200


async def test_an_echo_alone_passes_and_no_log_probabilities_are_added(scene: Scene) -> None:
    assert (await scene.post("/v1/completions", {"model": "support", "prompt": "x", "echo": True})).status == 200
    (body,) = [body for engine in scene.engines for body in engine.bodies]
    assert "logprobs" not in body
