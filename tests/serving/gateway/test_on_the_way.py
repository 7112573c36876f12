"""What an engine says reaches the client whole, and what a client's headers say reaches the event."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import openai
import pytest

from tests.serving.support.raw_engine import RawEngine, Script, Visit, always, chunked, saying, whole
from tests.serving.support.scene import BODY, Scene
from tests.serving.support.wire import asking, wired

STREAMED = {**BODY, "stream": True}
SSE = ("content-type: text/event-stream", "x-request-id: r-1")
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Card"},"finish_reason":"stop"}]}'
FIRST = '{"choices":[{"index":0,"delta":{"content":"Card"}}]}'
LAST = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'


@asynccontextmanager
async def before(script: Script) -> AsyncIterator[tuple[Scene, RawEngine]]:
    """A gateway before an engine whose answers the test writes."""
    scene = Scene()
    async with AsyncExitStack() as held:
        engine = await held.enter_async_context(saying(script))
        await held.enter_async_context(scene.running())
        scene.attest(0, url=engine.url)
        scene.attest(1, healthy=False)
        yield scene, engine


@pytest.mark.parametrize("status", ["429 Too Many", "503 No", "400 Bad", "200 OK"])
async def test_an_engines_time_when_to_come_back_and_its_own_id_pass(status: str) -> None:
    body = ANSWER if status.startswith("200") else b'{"error":{"message":"busy"}}'
    headers = ("content-type: application/json", "Retry-After: 7", "retry-after-ms: 7000", "X-Request-Id: r-\xe9")
    async with before(always(whole(body, *headers, status=status))) as (scene, _):
        reply = await scene.post()
        assert reply.status == int(status[:3])
        assert (reply.headers["retry-after"], reply.headers["retry-after-ms"]) == ("7", "7000")
        assert reply.headers["x-request-id"].startswith("r-")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 413, 422, 429])
@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", "message": "the prompt is too long", "type": "BadRequestError", "param": None, "code": 400},
        {"detail": "the prompt is too long"},
        {"detail": [{"loc": ["body", "stop"], "msg": "the prompt is too long"}]},
    ],
)
async def test_a_refusal_is_one_whatever_shape_an_engine_gives_it(
    body: dict[str, Any], status: int, stream: bool
) -> None:
    """Older engines have no `error` around it, and their framework has a `detail`."""
    answer = whole(json.dumps(body).encode(), "content-type: application/json", "retry-after: 7", status=f"{status} No")
    async with before(always(answer)) as (scene, _):
        reply = await scene.post(body={**BODY, "stream": stream})
        assert (reply.status, reply.headers["retry-after"]) == (status, "7")
        assert "the prompt is too long" in reply.error["message"]
        assert reply.error["code"] == "engine_refused"
        assert [event.status for event in await scene.served(1)] == [status]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind", "body", "expected"),
    [
        ("400 Bad", "text/plain", b"the prompt is too long", "the prompt is too long"),
        ("413 Too Large", "text/html", b"<html><h1>413</h1></html>", "status 413"),
        ("429 Too Many", "text/plain; charset=utf-8", b"Too many requests", "Too many requests"),
        ("503 No", "application/json", b'{"detail":"scaling"}', "scaling"),
        ("500 No", "application/json", b'{"object":"error","message":"engine dead"}', "engine dead"),
    ],
)
async def test_a_status_is_kept_though_its_text_is_no_openai_error(
    status: str, kind: str, body: bytes, expected: str, stream: bool
) -> None:
    """Of proxies before an engine, and of older ones. A refusal as 502 would be sent again, twice, by a client."""
    answer = whole(body, f"content-type: {kind}", "retry-after: 7", status=status)
    async with before(always(answer)) as (scene, _):
        reply = await scene.post(body={**BODY, "stream": stream})
        assert (reply.status, reply.headers["retry-after"]) == (int(status[:3]), "7")
        assert expected in reply.error["message"]


@pytest.mark.parametrize(
    "body", [b"Internal Server Error", b'{"detail":"boom"}', b'{"object":"error","message":"boom","code":500}']
)
async def test_a_request_that_an_engine_failed_at_is_not_sent_again_whatever_its_text(body: bytes) -> None:
    async with before(always(whole(body, status="500 No"))) as (scene, engine):
        async with openai.AsyncOpenAI(base_url=scene.url("/v1"), api_key="secret", max_retries=2) as client:
            with pytest.raises(openai.APIStatusError):
                await client.chat.completions.create(**BODY)
        assert len(engine.requests) == 1


async def test_they_pass_with_a_stream_and_with_texts_that_are_no_json_too() -> None:
    async with before(always(chunked(lines("\n", "\n\n"), headers=SSE))) as (scene, _):
        assert (await scene.post(body=STREAMED)).headers["x-request-id"] == "r-1"
    async with before(always(whole(b"busy", "retry-after: 7", status="503 No"))) as (scene, _):
        reply = await scene.post()
        assert (reply.status, reply.headers["retry-after"]) == (502, "7")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("Zürich", "Zürich"), ("日本", "日本"), ("plain", "plain"), (b"Z\xfcrich", "Zürich"), (b"\xff\xfe", "ÿþ")],
)
async def test_a_tag_is_kept_as_the_client_wrote_it(given: str | bytes, kept: str) -> None:
    async with Scene().running() as scene, wired(scene.port) as wire:
        raw = given.encode() if isinstance(given, str) else given
        asked = asking("/v1/chat/completions", json.dumps(BODY).encode(), "x-homeostat-tenant: @", key="secret")
        wire.send(asked.replace(b"tenant: @", b"tenant: " + raw))
        assert (await wire.answer()).status == 200
        (event,) = await scene.served(1)
        assert event.tags == {"tenant": kept}


async def test_log_probabilities_that_need_others_are_the_engines_to_refuse() -> None:
    async def script(visit: Visit) -> None:
        while True:
            body = json.loads(await visit.request())
            refused = body.get("top_logprobs") and not body.get("logprobs")
            error = b'{"error":{"message":"when using `top_logprobs`, `logprobs` must be set to true."}}'
            visit.say(whole(error, status="400 Bad") if refused else whole(ANSWER))

    async with before(script) as (scene, _):
        reply = await scene.post(body={**BODY, "top_logprobs": 2})
        assert (reply.status, "must be set" in reply.body["error"]["message"]) == (400, True)
        assert (await scene.post(body={**BODY, "top_logprobs": 2, "logprobs": True})).status == 200


def lines(line: str, end: str, prefix: str = "data: ", last: str = "[DONE]") -> bytes:
    """A stream with these ends of lines, and this one at its end."""
    return (line * 2).join(f"{prefix}{each}" for each in (FIRST, LAST, last)).encode() + end.encode()


STREAMS = {
    "line feeds": lines("\n", "\n\n"),
    "returns and line feeds": lines("\r\n", "\r\n\r\n"),
    "returns": lines("\r", "\r\r"),
    "no blank line at the end": lines("\n", "\n"),
    "nothing at the end": lines("\n", ""),
    "returns, and nothing at the end": lines("\r\n", ""),
    "no blank after the colon": lines("\n", "\n\n", "data:"),
    "named events": lines("\n", "\n\n", "event: message\nid: 7\ndata: "),
    "comments in events": lines("\r\n", "\r\n", ": still here\r\ndata: "),
    "a byte order mark": b"\xef\xbb\xbf" + lines("\n", "\n\n"),
    "a byte order mark and returns": b"\xef\xbb\xbf" + lines("\r\n", "\r\n\r\n"),
    "more blank lines": lines("\n\n\n", "\n\n\n\n"),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_stream_is_understood_whatever_its_lines_end_with(name: str, size: int) -> None:
    data = STREAMS[name]
    answer = chunked(*(data[i : i + size] for i in range(0, len(data), size)), headers=SSE)

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.say_slowly(answer, 200)

    async with before(script) as (scene, engine):
        async with scene.client as client:
            for _ in range(2):
                stream: Any = await client.chat.completions.create(**STREAMED)
                chunks = [chunk async for chunk in stream]
                assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Card"
                assert chunks[-1].choices[0].finish_reason == "stop"
        assert [(event.status, event.output, event.finish_reason) for event in await scene.served(2)] == [
            (200, "Card", "stop")
        ] * 2
        assert len(engine.visits) == 1


@pytest.mark.parametrize("body", [BODY, STREAMED])
@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; Charset=UTF-8"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
async def test_an_answer_in_one_piece_is_understood_however_it_is_named_and_begun(
    body: dict[str, Any], kind: str, mark: bytes
) -> None:
    async with before(always(whole(mark + ANSWER, f"Content-Type: {kind}"))) as (scene, _):
        reply = await scene.post(body=body)
        assert (reply.status, reply.body["choices"][0]["message"]["content"]) == (200, "Card")
        assert [(event.output, event.comparable) for event in await scene.served(1)] == [("Card", True)]


async def test_a_stream_that_was_cut_in_an_event_is_not_whole() -> None:
    async with before(always(chunked(lines("\n", "")[:-5], headers=SSE))) as (scene, _):
        async with scene.client as client:
            stream: Any = await client.chat.completions.create(**STREAMED)
            with pytest.raises(openai.APIError):
                [chunk async for chunk in stream]
        assert [event.status for event in await scene.served(1)] == [502]


async def test_a_response_of_named_events_ends_without_its_last_blank_line() -> None:
    done = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    data = f"event: response.completed\r\ndata: {json.dumps(done)}\r\n".encode()
    async with before(always(chunked(data, headers=SSE))) as (scene, _):
        reply = await scene.post("/v1/responses", {"model": "support", "input": "x", "stream": True})
        assert b"response.completed" in reply.data
        assert [event.status for event in await scene.served(1)] == [200]
