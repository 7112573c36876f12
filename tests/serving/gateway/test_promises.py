"""The gateway's promises, to clients and engines that break theirs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
import uvloop
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from deploy.roles.gateway import certificate_of
from serving.gateway.engines.ejection import Ejection
from serving.gateway.http.protocol import GuardedProtocol
from streams.events import InferenceServed
from streams.kinds import Arm
from tests.serving.support.certificates import Certificates
from tests.serving.support.raw_engine import RawEngine, Script, Visit, always, chunked, saying, whole
from tests.serving.support.scene import BODY, NEW, NEW_DIGEST, OLD, OLD_DIGEST, Scene
from tests.serving.support.waiting import until
from tests.serving.support.wire import Answer, asking, wired

CHAT = "/v1/chat/completions"
STREAMED = {**BODY, "stream": True}
SSE = ("content-type: text/event-stream",)
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"Card"}}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
SAID = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Card"},"finish_reason":"stop"}]}'


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.http.listener.LOOK_EVERY", 1)


@pytest.fixture(autouse=True)
def no_defect(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that happens here is a defect to the gateway, nor an error to its event loop; and no log tells a key."""
    with caplog.at_level(logging.WARNING), structlog.testing.capture_logs() as logged:
        yield
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    assert "secret" not in str(logged)
    assert caplog.records == []


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene().running() as running:
        yield running


@asynccontextmanager
async def before(*scripts: Script, **settings: Any) -> AsyncIterator[tuple[Scene, list[RawEngine]]]:
    """A gateway before engines that say what they are told to; the rest of the two are as usual."""
    scene = Scene()
    scene.settings = replace(scene.settings, **settings)
    async with AsyncExitStack() as held:
        raw = [await held.enter_async_context(saying(script)) for script in scripts]
        await held.enter_async_context(scene.running())
        for i, engine in enumerate(raw):
            scene.attest(i, url=engine.url)
        yield scene, raw


def alone(scene: Scene, i: int = 0) -> None:
    """The other engine is away."""
    scene.attest(1 - i, healthy=False)


def chat(body: Any = BODY, *headers: str, path: str = CHAT, key: str | None = "secret", **more: str) -> bytes:
    return asking(path, body if isinstance(body, bytes) else json.dumps(body).encode(), *headers, key=key, **more)


async def answered(scene: Scene, data: bytes) -> Answer:
    async with wired(scene.port) as wire:
        wire.send(data)
        return await wire.answer()


def events(scene: Scene) -> list[InferenceServed]:
    return [event for event in scene.events if isinstance(event, InferenceServed)]


# what reaches an engine


@pytest.mark.parametrize(
    "target",
    [
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/v1/chat/completions/../../load_lora_adapter",
        "/v1/chat/completions/..%2f..%2fload_lora_adapter",
        "/v1/models/../load_lora_adapter",
        "/v1/models/%2e%2e/load_lora_adapter",
        "/v1%2Fchat/completions",
        "/v1/chat%2fcompletions",
        "/v1/chat/completion%73",
        "//v1/chat/completions",
        "/./v1/chat/completions",
        "/v1/chat/completions/x",
        "/v1/chat/completions;x",
        "/v1/chat/completions%20",
        "/v1/chat/completions%00",
        "/v1/chat/completions\\",
        "/V1/chat/completions",
        "http://engine/v1/load_lora_adapter",
        "http://engine/v1/chat/completions",
        "*",
        "/metrics",
        "/",
    ],
)
async def test_only_what_is_listed_reaches_an_engine(scene: Scene, target: str) -> None:
    for method in ("POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        async with wired(scene.port) as wire:
            wire.send(chat(path=target, method=method))
            assert (await wire.answer(method)).status in (404, 405)
    assert [engine.strays + engine.bodies for engine in scene.engines] == [[], []]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic c2VjcmV0",
        "secret",
        "Bearer secret,",
        "Bearer Secret",
        "Bearer ß",
    ],
)
async def test_without_a_key_nothing_reaches_an_engine(scene: Scene, authorization: str) -> None:
    stranger = chat(BODY, f"authorization: {authorization}", key=None)
    for data, statuses in ((stranger + chat(), [401]), (chat() + stranger + chat(), [200, 401])):
        async with wired(scene.port) as wire:
            wire.send(data)
            assert [(await wire.answer()).status for _ in statuses] == statuses
            assert await wire.over()
    assert sum(len(engine.bodies) for engine in scene.engines) == 1


async def test_a_key_for_feedback_does_not_infer_behind_its_feedback(scene: Scene) -> None:
    """Its head comes while another request is answered, its body afterwards."""
    scene.mode("slow")
    async with wired(scene.port) as wire:
        stranger = chat(key="wrong")
        wire.send(chat() + stranger[:-5])
        await until(lambda: sum(len(engine.bodies) for engine in scene.engines) == 1)
        await asyncio.sleep(0.02)
        scene.mode("")
        for engine in scene.engines:
            engine.hurry.set()
        assert (await wire.answer()).status == 200
        wire.send(stranger[-5:])
        assert (await wire.answer()).status == 401
    assert sum(len(engine.bodies) for engine in scene.engines) == 1


async def test_an_engine_sees_these_headers_and_no_other() -> None:
    async with before(always(whole(SAID))) as (scene, (engine,)):
        alone(scene)
        told = ("traceparent: 00-a\x80", "cookie: x", "x-forwarded-for: y", "accept-encoding: gzip")
        await answered(scene, chat(BODY, *told))
        (head,) = engine.visits[0].heads
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        assert first == f"POST {CHAT} HTTP/1.1"
        names = [line.partition(":")[0] for line in lines]
        assert names == ["host", "content-type", "accept-encoding", "traceparent", "content-length"]
        assert f"host: {engine.url.removeprefix('http://')}" in lines
        assert "traceparent: 00-a\x80" in lines


@pytest.mark.parametrize("value", ["a\r\n b: c", "a\rb", "a\nb: c", "a\0b"])
async def test_no_header_brings_another_along(scene: Scene, value: str) -> None:
    answer = await answered(scene, chat(BODY, f"traceparent: {value}"))
    assert (answer.status, answer.code) == (400, "bad_request")
    assert [engine.bodies for engine in scene.engines] == [[], []]


# bodies

ASKED = b'"model":"support","messages":[{"role":"user","content":"x"}]'
WRONG = {
    "nothing": b"",
    "null": b"null",
    "a number": b"1",
    "cut off": b'{"model":"support"',
    "two objects": b"{" + ASKED + b"}{}",
    "a byte order mark": b"\xef\xbb\xbf{" + ASKED + b"}",
    "UTF-16": ("{" + ASKED.decode() + "}").encode("utf-16"),
    "not a number": b"{" + ASKED + b',"t":NaN}',
    "infinite": b"{" + ASKED + b',"t":-Infinity}',
    "no UTF-8": b"{" + ASKED + b',"user":"\xff"}',
    "no UTF-8 in a name": b"{" + ASKED + b',"\xff":1}',
    "half a character": b"{" + ASKED + b',"user":"\\ud800"}',
    "half a character in the alias": b'{"model":"\\ud800","messages":[{"role":"user"}]}',
    "half a character, raw": b"{" + ASKED + b',"user":"\xed\xa0\x80"}',
    "a number beyond all": b"{" + ASKED + b',"stream":1e999}',
    "a very long number": b"{" + ASKED + b',"user":' + b"1" * 5_000 + b"}",
    "a long number": b"{" + ASKED + b',"user":' + b"1" * 4_000 + b"}",
    "very deep": b"{" + ASKED + b',"t":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a comment": b"{" + ASKED + b"/**/}",
    "a control character": b"{" + ASKED + b',"user":"\x01"}',
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("path", [CHAT, "/v1/feedback"])
async def test_a_body_that_is_no_json_is_told_what_is_wrong(scene: Scene, name: str, path: str) -> None:
    answer = await answered(scene, chat(WRONG[name], path=path))
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
    assert answer.json["error"]["message"]
    assert "something else" not in answer.json["error"]["message"]
    await scene.served(0)


@pytest.mark.parametrize(
    "extra",
    [
        b'"t":1e999',
        b'"t":' + b"1" * 5_000,
        b'"logprobs":' + b"9" * 300,
        b'"stream":false,"stream":false',
        b'"t":"\\u0000"',
        b'"messages":[{"role":"user","content":[{"type":"text","text":[[1]]},{"text":null},{"type":7},5,null]}]',
        b'"messages":[{"role":"user","content":{"a":1}},{"role":"user"}]',
        b'"stream_options":{"include_usage":[1]}',
        b'"user":""',
    ],
)
async def test_what_is_the_engines_business_reaches_it_and_is_captured(extra: bytes) -> None:
    async with before(always(whole(SAID))) as (scene, (engine,)):
        alone(scene)
        assert (await answered(scene, chat(b"{" + ASKED + b"," + extra + b"}"))).status == 200
        assert extra.rpartition(b",")[2] in engine.requests[0] or b"logprobs" in extra
        await scene.served(1)


async def test_of_two_equal_names_the_last_counts_for_everybody(scene: Scene) -> None:
    body = (
        b'{"model":"other","stream":true,"str\\u0065am":false,"model":"x","mod\\u0065l":"support",' + ASKED[18:] + b"}"
    )
    assert (await answered(scene, chat(body))).json["model"] == OLD
    (sent,) = [body for engine in scene.engines for body in engine.bodies]
    assert (sent["model"], sent["stream"]) == (OLD, False)


@pytest.mark.parametrize(
    ("begin", "end", "path"),
    [
        (b"{" + ASKED + b',"stream":', b"}", CHAT),
        (b"{" + ASKED + b',"stream":true,"stream_options":{"a":', b"}}", CHAT),
        (b'{"model":"support","messages":', b"}", CHAT),
        (b'{"model":"support","messages":[{"role":"user","content":[{"text":', b"}]}]}", CHAT),
        (b'{"model":"support","input":[{"role":"user","content":', b"}]}", "/v1/responses"),
        (b"{" + ASKED + b',"t":', b"}", CHAT),
        (b'{"request_id":"x","label":', b"}", "/v1/feedback"),
        (b"", b"", CHAT),
    ],
)
async def test_no_depth_is_too_deep_for_an_answer(begin: bytes, end: bytes, path: str) -> None:
    answer = whole(SAID, "content-type: application/json")
    async with before(always(answer)) as (scene, _), wired(scene.port) as wire:
        alone(scene)
        for depth in [1, 100, *range(930, 1_001)]:
            wire.send(chat(begin + b"[" * depth + b"]" * depth + end, path=path))
            assert (await wire.answer()).status in (200, 400), depth
    assert all(event.status in (200, 400) for event in events(scene))


@pytest.mark.parametrize("score", [b"1" * 400, b"-" + b"1" * 400, b"1e400", b"true", b'"1"', b"2", b"[[]]"])
async def test_a_score_beyond_all_is_wrong(scene: Scene, score: bytes) -> None:
    about = (await scene.post()).headers["x-homeostat-request-id"].encode()
    answer = await answered(scene, chat(b'{"request_id":"%b","score":%b}' % (about, score), path="/v1/feedback"))
    assert answer.status == 400


@pytest.mark.parametrize("limit", ["-0", "1e999", "٣", "0x1", "1" * 5_000, ""])
async def test_an_odd_time_limit_is_told(scene: Scene, limit: str) -> None:
    answer = await answered(scene, chat(BODY, "x-homeostat-timeout-ms: ").replace(b"ms: ", b"ms: " + limit.encode()))
    assert (answer.status, answer.json["error"]["param"]) == (400, "x-homeostat-timeout-ms")


# engines' answers

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


# engines that break


async def says_nothing(visit: Visit) -> None:
    await visit.request()
    visit.reset()


async def half_a_head(visit: Visit) -> None:
    await visit.request()
    visit.say(b"HTTP/1.1 200 OK\r\ncontent-")
    visit.close()


async def half_a_body(visit: Visit) -> None:
    await visit.request()
    visit.say(whole(SAID)[:-10])
    visit.close()


async def no_http(visit: Visit) -> None:
    await visit.request()
    visit.say(b"SSH-2.0-OpenSSH_9.2\r\n")


async def head_and_nonsense(visit: Visit) -> None:
    """At once, so that the answer is broken before anybody has looked at it."""
    await visit.request()
    visit.say(chunked(SAID[:10], end=b"nonsense\r\n"))


BREAKS = [says_nothing, half_a_head, half_a_body, no_http, head_and_nonsense]


@pytest.mark.parametrize("script", BREAKS)
async def test_what_breaks_before_a_byte_is_anothers_turn(script: Script) -> None:
    async with before(script, avoid_s=0.0) as (scene, (engine,)):
        replies = [await scene.post() for _ in range(4)]
        assert [reply.status for reply in replies] == [200] * 4
        assert {event.replica for event in await scene.served(4)} == {"engine-1"}
        assert engine.requests


@pytest.mark.parametrize("script", BREAKS)
async def test_what_no_engine_answers_is_told_without_saying_where(script: Script) -> None:
    async with before(script, script) as (scene, raw):
        reply = await scene.post()
        assert (reply.status, reply.error["code"]) == (503, "replica_unreachable")
        for hidden in ("127.0.0.1", *(engine.url.rpartition(":")[2] for engine in raw), "Traceback", "(", "secret"):
            assert hidden not in reply.data.decode()
        assert [event.status for event in await scene.served(1)] == [503]
        assert reply.headers["x-should-retry"] == "false"
        assert sum(len(engine.requests) for engine in raw) == 2


@pytest.mark.parametrize("end", [Visit.close, Visit.reset])
async def test_what_breaks_after_a_byte_is_never_asked_again(end: Callable[[Visit], None]) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(FIRST, end=b"", headers=SSE))
        await asyncio.sleep(0.02)
        end(visit)

    async with before(script, script) as (scene, raw):
        reply = await scene.post(body=STREAMED)
        assert (reply.status, reply.data.startswith(FIRST), DONE in reply.data) == (200, True, False)
        assert json.loads(reply.data.split(b"\n\n")[1].removeprefix(b"data: "))["error"]["code"] == "engine_failed"
        assert [(event.status, event.output) for event in await scene.served(1)] == [(502, "Card")]
        assert sum(len(engine.requests) for engine in raw) == 1


async def test_a_reply_names_who_gave_it_also_the_second_time() -> None:
    """The canary's replica breaks, the champion's answers."""
    async with before(says_nothing) as (scene, (engine,)):
        scene.route(canary=NEW, weight=0.999999)
        scene.attest(0, {NEW: NEW_DIGEST}, url=engine.url)
        scene.attest(1, {OLD: OLD_DIGEST})
        asked = scene.engines[1]

        async def away(visit: Visit) -> None:
            await visit.request()
            scene.attest(0, healthy=False)
            visit.reset()

        engine.script = away
        reply = await scene.post()
        assert (reply.status, reply.headers["x-homeostat-version"], reply.body["model"]) == (200, OLD, OLD)
        (event,) = await scene.served(1)
        assert (event.version, event.arm, event.replica) == (OLD, Arm.CHAMPION, "engine-1")
        assert (reply.request_id.version, reply.request_id.arm) == (OLD, "champion")
        assert len(asked.bodies) == len(engine.requests) == 1


async def test_stale_connections_cost_no_client_anything() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(whole(SAID))
        await visit.request()
        visit.reset() if visit.number % 2 else visit.close()

    async with before(script) as (scene, (engine,)):
        alone(scene)
        assert [(await scene.post()).status for _ in range(10)] == [200] * 10
        assert [event.replica for event in await scene.served(10)] == ["engine-0"] * 10
        assert len(engine.visits) == 10


async def test_more_than_was_asked_for_is_nobodys_answer() -> None:
    stolen = whole(SAID.replace(b"Card", b"Stolen"))
    async with before(always(whole(SAID) + stolen)) as (scene, _):
        alone(scene)
        for _ in range(5):
            assert b"Stolen" not in (await scene.post()).data
        assert {event.output for event in await scene.served(5)} == {"Card"}


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "ftp://x", "http://a..b:1", "", "http://127.0.0.1:1"])
async def test_an_address_that_leads_nowhere_is_anothers_turn(scene: Scene, url: str) -> None:
    scene.attest(0, url=url)
    assert [(await scene.post()).status for _ in range(4)] == [200] * 4
    scene.attest(1, url=url)
    assert (await scene.post()).status == 503


def test_a_replica_may_fail_for_ever() -> None:
    ejection = Ejection(1.0, lambda: 0.0)
    for _ in range(5_000):
        ejection.failed("r")
    assert ejection.avoided() == {"r"}


# time and floods


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_waits_no_longer_than_it_said_wherever_the_time_goes(stream: bool) -> None:
    """Here to connect, with several tries."""
    async with before(Visit.gone, Visit.gone, connect_timeout_s=3.0) as (scene, raw):
        for i, engine in enumerate(raw):
            scene.attest(i, url=engine.url.replace("http:", "https:"))
        began = asyncio.get_running_loop().time()
        reply = await scene.post(body={**BODY, "stream": stream}, headers={"x-homeostat-timeout-ms": "100"})
        assert (reply.status, reply.error["code"]) == (504, "engine_timeout")
        assert asyncio.get_running_loop().time() - began < 2.5
        assert [event.status for event in await scene.served(1)] == [504]


@pytest.mark.slow
async def test_who_does_not_read_a_stream_stops_its_engine() -> None:
    said = 0

    async def script(visit: Visit) -> None:
        nonlocal said
        await visit.request()
        visit.say(chunked(end=b"", headers=SSE))
        piece = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 10_000 + b'"}}]}\n\n'
        while True:
            visit.say(b"%x\r\n%b\r\n" % (len(piece), piece))
            await visit.writer.drain()
            said += len(piece)

    async with before(script, write_timeout_s=0.3) as (scene, (engine,)):
        alone(scene)
        async with wired(scene.port) as wire:
            wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
            wire.send(chat(STREAMED))
            await until(lambda: events(scene))
        assert [event.status for event in await scene.served(1)] == [499]
        assert said < 30_000_000
        await until(lambda: engine.visits[0].writer.transport.is_closing())


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_does_not_stop_is_stopped(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.engines.link.MOST_BYTES", 1_000_000)

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ")
        while True:
            visit.say(b"x" * 10_000)
            await visit.writer.drain()

    async with before(script, tries=1) as (scene, _):
        alone(scene)
        reply = await scene.post(body={**BODY, "stream": stream})
        assert reply.status == (200 if stream else 503)
        assert len(reply.data) < 1_000
        assert [event.status for event in await scene.served(1)] == [502 if stream else 503]


@pytest.mark.slow
@pytest.mark.parametrize("more", [b"", b": still here\n\n"])
async def test_an_engine_that_does_not_end_after_its_last_word_is_let_go(more: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(FIRST, LAST + DONE, end=b"", headers=SSE))
        while more:
            await asyncio.sleep(0.01)
            visit.say(b"%x\r\n%b\r\n" % (len(more), more))
            await visit.writer.drain()
        await visit.gone()

    async with before(script, timeout_s=1.0) as (scene, (engine,)):
        alone(scene)
        assert (await scene.post(body=STREAMED)).data == FIRST + LAST + DONE
        assert [event.status for event in await scene.served(1)] == [200]
        await until(lambda: engine.visits[0].left.is_set() or engine.visits[0].writer.transport.is_closing())
        await until(lambda: scene.gateway.admission.in_flight == 0)


# hanging up


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("behind", [b"", chat(), chat()[:50]])
async def test_who_hangs_up_stops_the_engine_at_once(stream: bool, begun: bool, behind: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        head = chunked(FIRST, end=b"", headers=SSE) if stream else b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"
        visit.say(head if begun else b"")

    async with before(script) as (scene, (engine,)):
        alone(scene)
        async with wired(scene.port) as wire:
            wire.send(chat({**BODY, "stream": stream}) + behind)
            await until(lambda: engine.requests)
            await asyncio.sleep(0.02)
            wire.hang_up()
            await until(lambda: engine.visits[0].left.is_set())
        assert [event.status for event in await scene.served(1)] == [499]
        assert len(engine.requests) == 1
        assert scene.gateway.admission.in_flight == 0


async def test_who_hangs_up_while_an_engine_is_connected_is_captured_too() -> None:
    async with before(Visit.gone) as (scene, (engine,)):
        alone(scene)
        scene.attest(0, url=engine.url.replace("http:", "https:"))
        async with wired(scene.port) as wire:
            wire.send(chat())
            await until(lambda: engine.visits)
            wire.hang_up()
            await until(lambda: engine.visits[0].left.is_set())
        assert [event.status for event in await scene.served(1)] == [499]


# capture

WAYS: dict[str, tuple[Script, int, int]] = {  # of a whole answer, of a stream
    "well": (always(whole(SAID)), 200, 502),
    "a stream": (always(chunked(FIRST, LAST + DONE, headers=SSE)), 502, 200),
    "an error": (always(whole(b'{"error":{}}', status="400 No")), 400, 400),
    "an error that is none": (always(whole(b"no", status="500 No")), 502, 502),
    "nowhere": (says_nothing, 503, 503),
    "broken": (half_a_body, 503, 502),
    "silent": (lambda visit: visit.gone(), 504, 504),
}


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_exchange_is_captured_once_before_its_last_byte(
    name: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, *statuses = WAYS[name]
    order: list[str] = []
    sending, ended = RequestResponseCycle.send, GuardedProtocol.on_response_complete

    async def send(cycle: RequestResponseCycle, message: Any) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            order.append("last byte")
        await sending(cycle, message)

    def noted(connection: GuardedProtocol) -> None:
        order.append("answered")
        ended(connection)

    monkeypatch.setattr(RequestResponseCycle, "send", send)
    monkeypatch.setattr(GuardedProtocol, "on_response_complete", noted)
    async with before(script, script, timeout_s=0.2, tries=2) as (scene, _):
        scene.on_event = lambda: order.append("captured")
        await scene.post(body={**BODY, "stream": stream})
        (event,) = await scene.served(1)
        assert event.status == statuses[stream]
        assert order == ["captured", "last byte", "answered"]


async def test_a_capture_that_fails_costs_no_reply(scene: Scene) -> None:
    def full() -> None:
        scene.full = True

    scene.on_event = full
    assert (await scene.post()).status == 200
    assert (await scene.post(body=STREAMED)).data.endswith(DONE)


# the end


async def test_the_end_cuts_off_with_a_word_and_captures_it() -> None:
    async def script(visit: Visit) -> None:
        body = json.loads(await visit.request())
        visit.say(chunked(FIRST, end=b"", headers=SSE) if body.get("stream") else b"")

    async with before(script) as (scene, (engine,)):
        alone(scene)
        async with wired(scene.port) as whole_one, wired(scene.port) as streamed, wired(scene.port) as idle:
            whole_one.send(chat())
            streamed.send(chat(STREAMED))
            await until(lambda: len(engine.requests) == 2)
            await asyncio.sleep(0.02)
            await scene.server.drain(0.05)
            answer = await whole_one.answer()
            assert (answer.status, answer.code, answer.headers["connection"]) == (503, "shutting_down", "close")
            said = (await streamed.answer()).body
            assert said.startswith(FIRST)
            assert json.loads(said.split(b"\n\n")[1].removeprefix(b"data: "))["error"]["message"]
            assert DONE not in said
            for wire in (whole_one, streamed, idle):
                assert await wire.over()
        assert [event.status for event in await scene.served(2)] == [503, 503]
        await until(lambda: all(visit.left.is_set() for visit in engine.visits))


async def test_the_end_waits_for_what_is_under_way(scene: Scene) -> None:
    scene.mode("slow")
    async with wired(scene.port) as wire:
        wire.send(chat())
        await until(lambda: sum(len(engine.bodies) for engine in scene.engines))
        draining = asyncio.create_task(scene.server.drain(4.0))
        await asyncio.sleep(0.02)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", scene.port)
        scene.mode("")
        for engine in scene.engines:
            engine.hurry.set()
        assert (await wire.answer()).status == 200
        await draining
    assert [event.status for event in await scene.served(1)] == [200]


# TLS


@asynccontextmanager
async def behind_tls(folder: Path) -> AsyncIterator[tuple[Scene, Certificates]]:
    scene, made = Scene(), Certificates(folder)
    scene.settings = replace(scene.settings, tls_cert=made.cert, tls_key=made.key, head_timeout_s=0.3)
    scene.tls = certificate_of(scene.settings)
    async with scene.running():
        yield scene, made


@pytest.mark.slow
async def test_a_gateway_with_a_certificate_speaks_https_and_nothing_else(tmp_path: Path) -> None:
    async with behind_tls(tmp_path) as (scene, made):
        async with wired(scene.port, made.client()) as wire:
            wire.send(chat() + chat(STREAMED) + chat(key="wrong"))
            assert [(await wire.answer()).status for _ in range(3)] == [200, 200, 401]
            assert await wire.over()
        async with wired(scene.port, made.client()) as wire:
            wire.send(chat(BODY, "connection: close"))
            assert (await wire.answer()).status == 200
            assert await wire.over()
        async with wired(scene.port) as plain:
            plain.send(chat())
            said = await plain.rest()
            assert b"HTTP" not in said
        async with wired(scene.port) as silent:
            assert await silent.over()
        async with wired(scene.port, made.client()) as wire:
            wire.send(chat())
            assert (await wire.answer()).status == 200
        assert len(await scene.served(4)) == 4


@pytest.mark.slow
async def test_limits_hold_behind_tls_too(tmp_path: Path) -> None:
    async with behind_tls(tmp_path) as (scene, made), wired(scene.port, made.client()) as wire:
        wire.send(b"POST " + CHAT.encode())
        assert (await wire.answer()).code == "request_timeout"


async def test_engines_may_have_a_certificate_of_an_authority_of_ones_own(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    scene = Scene()
    scene.settings = replace(scene.settings, engine_ca=made.ca)
    async with saying(always(whole(SAID)), made.server()) as engine, scene.running():
        scene.attest(0, url=engine.url)
        alone(scene)
        assert [(await scene.post()).status for _ in range(2)] == [200, 200]
        assert len(engine.visits) == 1
