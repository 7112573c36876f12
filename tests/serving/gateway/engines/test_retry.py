"""Requests that end engines: refused where they are known, and carried to no second one where they are not."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest

from tests.serving.support.raw_engine import RawEngine, Visit, saying, whole
from tests.serving.support.scene import BODY, Scene
from tests.support.waiting import until

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
PROMPT = {"model": "support", "prompt": "x"}
ON = (True, 1, 1.0, "true", "TRUE", "1", "yes", "on", "t", "y")
ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Card"},"finish_reason":"stop"}]}'
DEADLY = "the one that ends it"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        *((CHAT, {**BODY, "echo": on}, "echo") for on in ON),
        *((COMPLETION, {**PROMPT, "echo": on, "logprobs": 0}, "echo") for on in ON),
        *((COMPLETION, {**PROMPT, "echo": True, "logprobs": few}, "echo") for few in (False, 0.0, "0", 1, True)),
        *((path, {**body, "prompt_logprobs": few}, "prompt_logprobs")
          for path, body in ((CHAT, BODY), (COMPLETION, PROMPT)) for few in (0, False, 0.0, "0", True, -1)),
        (CHAT, b'{"echo":false,"\\u0065cho":true,' + json.dumps(BODY).encode()[1:], "echo"),
        (COMPLETION, {**PROMPT, "prompt": ["x", "y"], "echo": True, "logprobs": False}, "echo"),
    ],
)  # fmt: skip
async def test_every_form_that_ends_an_engine_is_refused(path: str, body: Any, param: str) -> None:
    async with Scene().running() as scene:
        reply = await scene.post(path, body)
        assert (reply.status, reply.error["param"], reply.error["code"]) == (400, param, "not_supported")
        assert [engine.bodies for engine in scene.engines] == [[], []]


@pytest.mark.parametrize("off", [None, False, 0, 0.0, "false", "OFF", "no", "n", "0", "f"])
async def test_a_switch_that_an_engine_reads_as_off_passes(off: Any) -> None:
    async with Scene().running() as scene:
        for path, body in ((CHAT, BODY), (COMPLETION, PROMPT)):
            assert (await scene.post(path, {**body, "echo": off})).status == 200
        assert (await scene.post(COMPLETION, {**PROMPT, "echo": True, "logprobs": None})).status == 200


@pytest.mark.parametrize("more", [{"top_logprobs": 5}, {"top_logprobs": "5"}, {"logprob_token_ids": [1]}])
@pytest.mark.parametrize("logprobs", [{}, {"logprobs": None}, {"logprobs": False}])
async def test_log_probabilities_asked_for_by_half_are_left_to_the_engine(more: Any, logprobs: Any) -> None:
    """It refuses them; with some added on the way it would not."""
    async with Scene().running() as scene:
        await scene.post(body={**BODY, **more, **logprobs})
        (body,) = [body for engine in scene.engines for body in engine.bodies]
        assert not body.get("logprobs")


class Fleet:
    """Three replicas; each ends, and listens no more, once it is asked what is deadly."""

    def __init__(self) -> None:
        self.scene, self.engines = Scene(), list[RawEngine]()
        self.ended, self.deadly = set[int](), 0
        self.let_go = asyncio.Event()

    async def start(self, held: AsyncExitStack) -> None:
        await held.enter_async_context(self.scene.running())
        for i in range(3):
            stack = await held.enter_async_context(AsyncExitStack())
            engine = await stack.enter_async_context(saying(self.script(i, stack)))
            self.engines.append(engine)
            self.scene.attest(i, url=engine.url)

    def script(self, i: int, stack: AsyncExitStack) -> Any:
        async def script(visit: Visit) -> None:
            while True:
                asked = await visit.request()
                if DEADLY.encode() in asked:
                    self.deadly += 1
                    self.ended.add(i)
                    await stack.aclose()
                    return
                if b"slow" in asked:
                    await self.let_go.wait()
                visit.say(whole(ANSWER))

        return script

    @property
    def asked(self) -> int:
        return sum(len(engine.requests) for engine in self.engines)


def saying_that(text: str) -> dict[str, Any]:
    return {**BODY, "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_that_ended_a_replica_goes_to_no_other(warm: bool, stream: bool) -> None:
    """Whether the connection was new or kept from an earlier request."""
    async with AsyncExitStack() as held:
        fleet = Fleet()
        await fleet.start(held)
        for _ in range(6 if warm else 0):
            assert (await fleet.scene.post()).status == 200
        reply = await fleet.scene.post(body={**saying_that(DEADLY), "stream": stream})
        assert (reply.status, reply.error["code"]) == (503, "replica_ended")
        assert (fleet.deadly, len(fleet.ended)) == (1, 1)
        assert [(await fleet.scene.post()).status for _ in range(6)] == [200] * 6


async def test_openais_client_does_not_carry_it_on_either() -> None:
    async with AsyncExitStack() as held:
        fleet = Fleet()
        await fleet.start(held)
        client = openai.AsyncOpenAI(base_url=fleet.scene.url("/v1"), api_key="secret")  # tries again by itself
        async with client:
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(**saying_that(DEADLY))
        assert fleet.deadly == 1


async def test_among_others_it_ends_two_replicas_at_most_and_the_others_are_answered() -> None:
    async with AsyncExitStack() as held:
        fleet = Fleet()
        await fleet.start(held)
        slow = [asyncio.create_task(fleet.scene.post(body=saying_that("slow"))) for _ in range(3)]
        await until(lambda: fleet.asked == 3)
        reply = await fleet.scene.post(body=saying_that(DEADLY))
        assert (reply.status, reply.headers["x-should-retry"]) == (503, "false")
        fleet.let_go.set()
        assert fleet.deadly <= 2
        assert len(fleet.ended) <= 2
        statuses = sorted(each.status for each in await asyncio.gather(*slow))
        assert statuses[:2] == [200, 200], "only who was there both times may fail"
        assert (await fleet.scene.post()).status == 200


async def test_a_replica_that_lives_on_may_be_why_and_the_request_is_tried_once_more() -> None:
    async def hangs_up(visit: Visit) -> None:
        await visit.request()
        visit.reset()

    async with Scene().running() as scene, saying(hangs_up) as engine:
        scene.attest(0, url=engine.url)
        assert [(await scene.post()).status for _ in range(4)] == [200] * 4


async def test_a_refused_connection_goes_on_elsewhere_as_often_as_may_be() -> None:
    async with AsyncExitStack() as held:
        fleet = Fleet()
        await fleet.start(held)
        for i in (0, 1):
            fleet.scene.attest(i, url="http://127.0.0.1:1")
        assert [(await fleet.scene.post()).status for _ in range(6)] == [200] * 6


async def test_an_engines_own_defect_is_not_asked_for_again_by_openais_client() -> None:
    async with Scene().running() as scene:
        scene.mode("error")
        async with openai.AsyncOpenAI(base_url=scene.url("/v1"), api_key="secret") as client:
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(**saying_that("hello"))
        assert sum(len(engine.bodies) for engine in scene.engines) == 1
