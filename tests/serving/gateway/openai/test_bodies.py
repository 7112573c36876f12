"""Bodies of requests, odd ones among them: the client learns what is wrong, the engine gets what is its business."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.serving.support.raw_engine import always, whole
from tests.serving.support.scene import OLD, Scene
from tests.serving.support.scripted import CHAT, SAID, alone, answered, before, chat, events
from tests.serving.support.wire import wired

pytestmark = pytest.mark.usefixtures("quick_sweeps", "no_defect")


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


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
