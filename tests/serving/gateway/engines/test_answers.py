"""Engines' odd answers: each passes, or is a bad gateway."""

from __future__ import annotations

import asyncio
import json

import pytest
import uvloop

from tests.serving.support.raw_engine import Visit, always, chunked, whole
from tests.serving.support.scene import BODY
from tests.serving.support.scripted import DONE, FIRST, LAST, SAID, SSE, STREAMED, alone, before

pytestmark = pytest.mark.usefixtures("quick_sweeps", "no_defect")


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


ODD = {
    "no choices": b'{"error":{"message":"x"}}',
    "no choices, no error": b"{}",
    "choices null": b'{"choices":null}',
    "choices an object": b'{"choices":{}}',
    "choices of numbers": b'{"choices":[1]}',
    "no UTF-8 in a name": b'{"\xff":1}',
    "no UTF-8": b'{"choices":[{"index":0,"message":{"content":"\xff"}}]}',
    "a content of numbers": b'{"choices":[{"index":0,"message":{"content":7}}]}',
    "half a character": b'{"choices":[{"index":0,"message":{"content":"\\ud800"}}]}',
    "an index below": b'{"choices":[{"index":-5,"message":{"content":"x"}}]}',
    "an index beyond": b'{"choices":[{"index":' + b"9" * 30 + b',"message":{"content":"x"}}]}',
    "logprobs a list": b'{"choices":[{"index":0,"message":{"content":"x"},"logprobs":[1]}]}',
    "logprobs nobody could add": b'{"choices":[{"index":0,"message":{"content":"x"},"logprobs":{"content":['
    b'{"logprob":1.5e308},{"logprob":1.5e308}]}}]}',
    "logprobs of text": b'{"choices":[{"index":0,"message":{"content":"x"},"logprobs":{"content":[{"logprob":"a"}]}}]}',
    "infinite logprobs": b'{"choices":[{"index":0,"logprobs":{"content":[{"logprob":-Infinity}]}}]}',
    "usage of text": b'{"choices":[{"index":0,"message":{"content":"x"}}],"usage":{"completion_tokens":"3"}}',
    "usage below": b'{"choices":[{"index":0,"message":{"content":"x"}}],"usage":{"completion_tokens":-3}}',
    "usage beyond": b'{"choices":[],"usage":{"completion_tokens":18446744073709551615,"prompt_tokens":1e30}}',
    "deep": b'{"choices":[{"x":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}",
    "no object": b"[]",
    "nothing": b"",
    "text": b"Internal Server Error",
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("status", ["200 OK", "500 No"])
async def test_an_odd_answer_passes_or_is_a_bad_gateway(name: str, status: str) -> None:
    async with before(always(whole(ODD[name], status=status))) as (scene, _):
        alone(scene)
        reply = await scene.post()
        assert reply.status in (int(status[:3]), 502)
        if reply.status == 200:
            assert reply.data == ODD[name] or b'"logprobs":null' in reply.data
        else:
            assert reply.body["error"]
        (event,) = await scene.served(1)
        assert event.status == reply.status
        assert (await scene.post()).status == reply.status


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_piece_of_a_stream_passes(name: str) -> None:
    odd = b"data: " + ODD[name] + b"\n\n"
    async with before(always(chunked(FIRST, odd, LAST + DONE, headers=SSE))) as (scene, _):
        alone(scene)
        reply = await scene.post(body=STREAMED)
        assert reply.status == 200
        assert odd in reply.data or b'"logprobs":null' in reply.data
        assert reply.data.endswith(DONE)
        (event,) = await scene.served(1)
        assert event.status == (500 if b"error" in ODD[name] else 200)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("204 No Content", 502),
        ("304 Not Modified", 502),
        ("301 Moved", 502),
        ("599 Odd", 502),
        ("400 Bad Request", 400),
    ],
)
async def test_a_status_without_a_word_is_a_bad_gateway_but_for_a_refusal(status: str, told: int) -> None:
    answer = f"HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:1/\r\n\r\n".encode()

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(answer)
        visit.close()

    async with before(script) as (scene, _):
        alone(scene)
        for body in (BODY, STREAMED):
            reply = await scene.post(body=body)
            assert (reply.status, "location" in reply.headers) == (told, False)
        assert [event.status for event in await scene.served(2)] == [told, told]


async def test_an_answer_in_one_piece_to_who_wanted_a_stream_passes() -> None:
    async with before(always(whole(SAID, "content-type: application/json"))) as (scene, _):
        alone(scene)
        reply = await scene.post(body=STREAMED)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert reply.body == json.loads(SAID)
        (event,) = await scene.served(1)
        assert (event.status, event.output) == (200, "Card")


async def test_whatever_an_engines_words_are_cut_into_the_client_gets_them() -> None:
    whole_answer = chunked(*(bytes([byte]) for byte in FIRST + b": a comment\n\n" + LAST + DONE), headers=SSE)

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.say_slowly(whole_answer, 7)

    async with before(script) as (scene, (engine,)):
        alone(scene)
        for _ in range(3):
            assert (await scene.post(body=STREAMED)).data == FIRST + b": a comment\n\n" + LAST + DONE
        assert len(engine.visits) == 1
