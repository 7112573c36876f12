"""The gateway as its clients and the log see it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import openai
import pytest

from monitor.describe.pii import mask
from streams.kinds import Arm
from tests.serving.support.fake_engine import FINGERPRINT
from tests.serving.support.scene import BODY, NEW, NEW_DIGEST, OLD, OLD_DIGEST, SIGNER, Scene

TEXT = "Card arrival."


async def test_openais_client_works_unchanged(scene: Scene) -> None:
    async with scene.client as client:
        chat = await client.chat.completions.create(**BODY)
        assert (chat.choices[0].message.content, chat.model) == (TEXT, OLD)
        stream = await client.chat.completions.create(**BODY, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT
        whole = await client.completions.create(model="support", prompt="Where?")
        assert whole.choices[0].text == TEXT
        pieces = await client.completions.create(model="support", prompt="Where?", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in pieces]) == TEXT
        assert [model.id async for model in client.models.list()] == ["support"]
        assert (await client.models.retrieve("support")).id == "support"
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.chat.completions.create(**{**BODY, "model": "sales"})
        assert unknown.value.code == "model_not_found"
    async with openai.AsyncOpenAI(base_url=scene.url("/v1"), api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.models.list()
    assert [event.status for event in await scene.served(4)] == [200] * 4


async def test_a_reply_says_who_gave_it(scene: Scene) -> None:
    reply = await scene.post()
    assert reply.headers["x-homeostat-version"] == reply.body["model"] == OLD
    (event,) = await scene.served()
    about = reply.request_id
    assert (about.event_id, about.version, about.arm) == (event.id, OLD, "champion")
    assert about.answer == SIGNER.answer_digest(event.id, "card arrival")


async def test_parameters_pass_and_the_model_becomes_the_version(scene: Scene) -> None:
    given = {**BODY, "temperature": 0.3, "stop": ["x"], "tools": [], "something_new": {"a": [1]}}
    await scene.post(body=given)
    (body,) = [body for engine in scene.engines for body in engine.bodies]
    assert body == {**given, "model": OLD, "logprobs": True}


def spoken(delta: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": None, **more}]


CALLED = {"index": 0, "id": "c", "type": "function", "function": {"name": "refund", "arguments": ""}}


@pytest.mark.parametrize(
    "first",
    [
        {"content": "Card"},
        {"reasoning": "Hm."},
        {"reasoning_content": "Hm."},
        {"tool_calls": [CALLED]},
        {"function_call": CALLED["function"]},
        {"refusal": "No."},
    ],
)
async def test_the_first_token_of_any_kind_is_the_first(scene: Scene, first: dict[str, Any]) -> None:
    for engine in scene.engines:
        engine.script = [
            spoken({"role": "assistant", "content": ""}),
            spoken(first),
            spoken({}, finish_reason="stop"),
        ]
    await scene.post(body={**BODY, "stream": True})
    (event,) = await scene.served()
    assert 0 < event.ttft_ms < event.latency_ms


async def test_what_comes_before_any_token_is_none(scene: Scene) -> None:
    for engine in scene.engines:
        empty: dict[str, Any] = {
            "role": "assistant",
            "content": "",
            "reasoning": None,
            "tool_calls": [],
            "refusal": None,
        }
        engine.script = [spoken(empty), spoken({}, finish_reason="stop")]
    await scene.post(body={**BODY, "stream": True})
    (event,) = await scene.served()
    assert event.ttft_ms == event.latency_ms


async def test_what_an_engine_says_for_minus_infinity_is_not_averaged(scene: Scene) -> None:
    values = [-0.25, -9999.0, -9999.0, -0.75, -1e30]
    logprobs = {"content": [{"token": "x", "logprob": value, "top_logprobs": []} for value in values]}
    for engine in scene.engines:
        engine.script = [[{"index": 0, "message": {"content": "card"}, "finish_reason": "stop", "logprobs": logprobs}]]
    await scene.post()
    (event,) = await scene.served()
    assert (event.logprob_mean, event.logprob_min) == (-0.5, -0.75)


async def test_logprobs_are_for_those_who_asked(scene: Scene) -> None:
    assert (await scene.post()).body["choices"][0]["logprobs"] is None
    asked = await scene.post(body={**BODY, "logprobs": True})
    assert asked.body["choices"][0]["logprobs"]["content"][0]["logprob"] == -0.5
    first, second = await scene.served(2)
    assert first.logprob_mean == first.logprob_min == second.logprob_mean == -0.5


async def events(scene: Scene, body: dict[str, Any]) -> list[Any]:
    reply = await scene.post(body={**body, "stream": True})
    lines = [line.removeprefix("data: ") for line in reply.data.decode().split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_a_streams_usage_is_for_those_who_asked(scene: Scene) -> None:
    assert all(chunk["choices"] for chunk in await events(scene, BODY))
    asked = await events(scene, {**BODY, "stream_options": {"include_usage": True}})
    assert asked[-1]["usage"]["total_tokens"] == 10
    assert all(choice["logprobs"] is None for chunk in asked for choice in chunk["choices"])
    first, second = await scene.served(2)
    assert (first.output_tokens, second.output_tokens, first.input_tokens) == (3, 3, 7)


@pytest.mark.parametrize("options", [{}, {"include_usage": True}, {"continuous_usage_stats": True}])
async def test_a_streams_last_chunk_names_the_engine_once(scene: Scene, options: dict[str, bool]) -> None:
    """vLLM names itself in the last chunk it sends, which is the usage's when that is asked for, by us or by them."""
    *_, before, last = await events(scene, {**BODY, "stream_options": options})
    assert last["system_fingerprint"] == FINGERPRINT
    assert "system_fingerprint" not in before
    assert ("usage" in last) == options.get("include_usage", False)


async def test_an_event_says_what_was_asked_and_answered(scene: Scene) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "I am ann@example.org"}, {"type": "image_url"}]}]
    headers = {"x-homeostat-tenant": "acme", "x-homeostat-language": "de"}
    await scene.post(body={**BODY, "messages": messages, "user": "ann"}, headers=headers)
    (event,) = await scene.served()
    assert mask(event.input_messages[0].content) == "I am [email]\n[image_url]"
    assert (event.output, event.finish_reason, event.operation) == (TEXT, "stop", "chat")
    assert event.tags == {"tenant": "acme", "language": "de"}
    assert event.client.startswith("app/")
    assert "ann" not in event.client
    assert event.latency_ms >= event.ttft_ms > 0
    assert (event.alias, event.version, event.arm, event.streamed) == ("support", OLD, Arm.CHAMPION, False)


async def test_an_event_tells_people_apart_by_user_else_by_conversation(scene: Scene) -> None:
    """A key alone is no person: behind it may be one person or all of an application's."""
    for headers, named in (({}, {}), ({"x-session-id": "1"}, {}), ({"x-session-id": "1"}, {"user": "ann"})):
        await scene.post(body={**BODY, **named}, headers=headers)
    await scene.post(body={**BODY, "user": "ann"})
    alone, talk, ann, again = [event.client for event in await scene.served(4)]
    assert alone == "app"
    assert talk.startswith("app/")
    assert ann == again != talk


async def test_a_streams_times_are_measured(scene: Scene) -> None:
    await events(scene, BODY)
    (event,) = await scene.served()
    assert event.streamed
    assert 0 < event.ttft_ms <= event.latency_ms
    assert event.output == TEXT


@pytest.mark.parametrize(("mode", "status"), [("error", 500), ("bad request", 400)])
async def test_the_engines_errors_pass_unchanged_and_are_captured(scene: Scene, mode: str, status: int) -> None:
    scene.mode(mode)
    reply = await scene.post()
    assert reply.status == status
    assert reply.body["error"]["message"] in ("engine dead", "max_tokens is too large")
    assert [event.status for event in await scene.served()] == [status]


async def test_an_answer_that_is_no_json_is_a_bad_gateway(scene: Scene) -> None:
    scene.mode("no json")
    reply = await scene.post()
    assert (reply.status, reply.error["code"]) == (502, "engine_failed")
    assert [event.status for event in await scene.served()] == [502]


async def test_a_replica_that_refuses_is_anothers_turn(scene: Scene) -> None:
    await scene.engines[0].stop()
    replies = [await scene.post() for _ in range(5)]
    assert [reply.status for reply in replies] == [200] * 5
    assert {event.replica for event in await scene.served(5)} == {"engine-1"}


async def test_a_replica_that_lost_the_adapter_is_anothers_turn(scene: Scene) -> None:
    scene.engines[0].mode = "lost"
    assert [(await scene.post()).status for _ in range(4)] == [200] * 4
    assert {event.replica for event in await scene.served(4)} == {"engine-1"}


async def test_no_replica_left_is_a_503_that_may_be_tried_again(scene: Scene) -> None:
    scene.mode("lost")
    reply = await scene.post()
    assert (reply.status, reply.headers["retry-after"], reply.error["code"]) == (503, "1", "replica_unreachable")
    scene.attest(0, healthy=False)
    scene.attest(1, {})
    reply = await scene.post()
    assert (reply.status, reply.error["code"]) == (503, "no_replica")
    assert [(event.status, event.version) for event in await scene.served(2)] == [(503, OLD)] * 2


async def test_a_slow_engine_is_a_gateway_timeout() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, timeout_s=0.2)
    async with scene.running():
        scene.mode("slow")
        reply = await scene.post()
        assert (reply.status, reply.error["code"]) == (504, "engine_timeout")
        assert reply.headers["x-should-retry"] == "false"  # it would hang the other replicas as well
        assert [event.status for event in await scene.served()] == [504]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "status"), [("break", 502), ("stall", 504)])
async def test_a_broken_stream_ends_with_an_error_and_without_done(mode: str, status: int) -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, timeout_s=0.3)
    async with scene.running():
        scene.mode(mode)
        reply = await scene.post(body={**BODY, "stream": True})
        assert reply.status == 200
        last = reply.data.decode().strip().split("\n\n")[-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_failed"
        assert b"[DONE]" not in reply.data
        (event,) = await scene.served()
        assert (event.status, event.output) == (status, "Card")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "stream"), [("slow", False), ("stall", True)])
async def test_who_hangs_up_stops_the_engine(scene: Scene, mode: str, stream: bool) -> None:
    scene.mode(mode)
    with pytest.raises(TimeoutError):
        await scene.post(body={**BODY, "stream": stream}, timeout=aiohttp.ClientTimeout(total=0.3))
    assert [event.status for event in await scene.served()] == [499]
    await asyncio.sleep(0.05)
    assert sum(engine.cancelled for engine in scene.engines) == 1


async def test_a_client_that_closes_at_done_has_not_hung_up(scene: Scene) -> None:
    headers = {"authorization": "Bearer secret"}
    for _ in range(10):
        async with scene.http.post(
            scene.url("/v1/chat/completions"), json={**BODY, "stream": True}, headers=headers
        ) as reply:
            async for line in reply.content:
                if line.startswith(b"data: [DONE]"):
                    break
    assert [event.status for event in await scene.served(10)] == [200] * 10


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model": "support", ', None),
        (b"\xff\xfe", None),
        (b"[]", None),
        ({"messages": []}, "model"),
        ({**BODY, "model": 7}, "model"),
        ({"model": "support"}, "messages"),
        ({**BODY, "messages": "hello"}, "messages"),
        ({**BODY, "messages": []}, "messages"),
        ({**BODY, "messages": [{"content": "x"}]}, "messages[0]"),
        ({**BODY, "stream": "yes"}, "stream"),
        ({**BODY, "user": 3}, "user"),
        ({**BODY, "stream_options": []}, "stream_options"),
    ],
)
async def test_a_wrong_body_is_named_by_field(scene: Scene, body: Any, param: str | None) -> None:
    reply = await scene.post(body=body)
    assert (reply.status, reply.error["type"], reply.error["param"]) == (400, "invalid_request_error", param)
    await scene.served(0)


async def test_a_completion_needs_a_prompt(scene: Scene) -> None:
    assert (await scene.post("/v1/completions", {"model": "support"})).error["param"] == "prompt"


async def test_an_oversized_body_is_refused_early() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, body_limit_bytes=1_000)
    async with scene.running():
        assert (await scene.post(body={**BODY, "user": "x" * 2_000})).error["code"] == "body_too_large"

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b" " * 100

        headers = {"authorization": "Bearer secret"}
        async with scene.http.post(scene.url("/v1/chat/completions"), data=pieces(), headers=headers) as reply:
            assert reply.status == 413


async def test_paths_methods_and_keys_are_checked(scene: Scene) -> None:
    unknown = await scene.post("/v1/load_lora_adapter", {})
    assert (unknown.status, unknown.error["code"]) == (404, "unknown_path")
    wrong = await scene.post("/v1/models", {})
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (await scene.post(key="wrong")).error["code"] == "invalid_api_key"
    assert (await scene.post(headers={"authorization": "secret"})).error["code"] == "missing_api_key"
    assert (await scene.post("/v1/feedback", {}, key="only-infer")).status == 403


async def test_a_session_stays_with_its_arm(scene: Scene) -> None:
    scene.route(canary=NEW, weight=0.5)
    for user in range(12):
        asked = {**BODY, "user": f"user-{user}"}
        assert len({(await scene.post(body=asked)).headers["x-homeostat-version"] for _ in range(3)}) == 1
    versions = {event.version: event.arm for event in await scene.served(36)}
    assert versions == {OLD: Arm.CHAMPION, NEW: Arm.CANARY}


@pytest.mark.slow
async def test_no_request_fails_and_none_is_misattributed_while_routes_change(scene: Scene) -> None:
    async def ask(number: int) -> tuple[int, bool]:
        streamed = number % 3 == 0
        reply = await scene.post(body={**BODY, "user": str(number), "stream": streamed})
        version = reply.headers["x-homeostat-version"]
        sent = set(re.findall(rb'"model":"([^"]*)"', reply.data))
        return reply.status, sent == {version.encode()} and reply.request_id.version == version

    async def swap() -> None:
        for _ in range(10):
            for route in ({"canary": NEW, "weight": 0.5}, {"champion": NEW, "previous": OLD}, {}):
                scene.route(**route)
                await asyncio.sleep(0.004)

    asking = [asyncio.create_task(ask(number)) for number in range(150)]
    await swap()
    assert set(await asyncio.gather(*asking)) == {(200, True)}
    for event in await scene.served(150):
        assert event.version in (OLD, NEW)


async def test_bytes_of_another_digest_are_never_asked(scene: Scene) -> None:
    scene.attest(0, {OLD: NEW_DIGEST})
    scene.attest(1, {OLD: OLD_DIGEST})
    for _ in range(6):
        await scene.post()
    assert {event.replica for event in await scene.served(6)} == {"engine-1"}
