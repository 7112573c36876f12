"""The gateway's end: requests under way are waited for, then cut off with an answer."""

from __future__ import annotations

import asyncio
import json

import pytest
import uvloop

from tests.serving.support.raw_engine import Visit, chunked
from tests.serving.support.scene import Scene
from tests.serving.support.scripted import DONE, FIRST, SSE, STREAMED, alone, before, chat
from tests.serving.support.wire import wired
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("quick_sweeps", "no_defect")


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


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
