"""Replicas that take requests and say nothing: a socket that the kernel accepts for, as of a stopped process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from serving.gateway.engines.ejection import Ejection
from tests.serving.support.raw_engine import Visit, chunked, saying, whole
from tests.serving.support.scene import BODY, Scene

ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Card"},"finish_reason":"stop"}]}'
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"Card"}}]}\n\n'


@asynccontextmanager
async def hanging(**settings: Any) -> AsyncIterator[Scene]:
    """Replica 0 hangs, replica 1 is well."""
    scene = Scene()
    scene.settings = replace(scene.settings, **settings)
    with socket.socket() as never_accepts:
        never_accepts.bind(("127.0.0.1", 0))
        never_accepts.listen(128)
        async with scene.running():
            scene.attest(0, url=f"http://127.0.0.1:{never_accepts.getsockname()[1]}")
            yield scene


async def statuses(scene: Scene, count: int, **more: Any) -> list[int]:
    return [(await scene.post(**more)).status for _ in range(count)]


@pytest.mark.slow
async def test_a_hung_replica_costs_one_request_its_time_and_is_then_left_alone() -> None:
    async with hanging(timeout_s=0.3, avoid_s=30.0) as scene:
        assert sorted(await statuses(scene, 2)) == [200, 504]
        began = time.monotonic()
        assert await statuses(scene, 20) == [200] * 20
        assert time.monotonic() - began < 0.3 * 20


@pytest.mark.slow
async def test_a_trial_that_hangs_is_one_request_and_not_one_a_second() -> None:
    async with hanging(timeout_s=0.6, avoid_s=0.05) as scene:
        await statuses(scene, 2)
        await asyncio.sleep(0.1)  # now it may be tried again
        found = []
        asking = [asyncio.create_task(scene.post())]
        for _ in range(8):
            await asyncio.sleep(0.05)
            asking.append(asyncio.create_task(scene.post()))
        found = [(await each).status for each in asking]
        assert found.count(504) <= 1


@pytest.mark.slow
async def test_a_replica_that_is_silent_to_everybody_hangs_however_little_time_each_has() -> None:
    async with hanging(silent_s=0.3, avoid_s=30.0) as scene:
        hurried = {"headers": {"x-homeostat-timeout-ms": "60"}}
        found = await statuses(scene, 24, **hurried)
        assert 504 in found
        assert found[-8:] == [200] * 8


@pytest.mark.slow
async def test_who_hangs_up_on_it_tells_as_much() -> None:
    async with hanging(silent_s=0.3, avoid_s=30.0) as scene:
        failed = 0
        for _ in range(24):
            try:
                await scene.post(timeout=aiohttp.ClientTimeout(total=0.06))
            except TimeoutError:
                failed += 1
        assert 1 <= failed < 14
        assert await statuses(scene, 6) == [200] * 6


@pytest.mark.slow
async def test_where_few_ask_most_of_them_are_no_trial_of_a_hung_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause is over before the next request: every second one was a trial, and lost."""
    monkeypatch.setattr("serving.gateway.engines.ejection.LONGEST_S", 0.0)
    async with hanging(timeout_s=0.1, avoid_s=0.01) as scene:
        found = await statuses(scene, 60)
        assert 1 <= found.count(504) <= 6
        scene.attest(0)  # another process under its name answers
        await statuses(scene, 70)
        assert not scene.gateway.ejection.failing("engine-0")


@pytest.mark.slow
async def test_a_clients_own_short_time_alone_says_nothing_about_a_replica() -> None:
    async def slow(visit: Visit) -> None:
        while True:
            await visit.request()
            await asyncio.sleep(0.15)
            visit.say(whole(ANSWER))

    scene = Scene()
    scene.settings = replace(scene.settings, silent_s=1.0, avoid_s=30.0)
    async with scene.running(), saying(slow) as engine:
        scene.attest(0, url=engine.url)
        for _ in range(3):
            await statuses(scene, 6, headers={"x-homeostat-timeout-ms": "30"})
            assert await statuses(scene, 2) == [200, 200]
        assert not scene.gateway.ejection.avoided()


async def test_a_stream_that_stalls_counts_as_well() -> None:
    async def stalls(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(FIRST, end=b"", headers=("content-type: text/event-stream",)))
        await visit.gone()

    scene = Scene()
    scene.settings = replace(scene.settings, timeout_s=0.2, avoid_s=30.0)
    async with scene.running(), saying(stalls) as engine:
        scene.attest(0, url=engine.url)
        for _ in range(6):
            await scene.post(body={**BODY, "stream": True})
        assert len(engine.requests) == 1


@pytest.mark.slow
@pytest.mark.parametrize("leaves", [False, True])
async def test_a_replica_that_begins_each_stream_and_says_nothing_hangs(leaves: bool) -> None:
    """An engine whose device hangs: its server still sends the heads. Its clients have little time, or leave."""

    async def begins(visit: Visit) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n")
        await visit.gone()

    more: dict[str, Any] = (
        {"timeout": aiohttp.ClientTimeout(total=0.06)} if leaves else {"headers": {"x-homeostat-timeout-ms": "60"}}
    )
    scene = Scene()
    scene.settings = replace(scene.settings, silent_s=0.3, avoid_s=30.0)
    async with scene.running(), saying(begins) as engine:
        scene.attest(0, url=engine.url)
        for _ in range(24):
            with contextlib.suppress(TimeoutError):
                await scene.post(body={**BODY, "stream": True}, **more)
        assert scene.gateway.ejection.avoided() == {"engine-0"}
        assert len(engine.requests) < 14


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({}, "0.2 s (gateway.timeout_s)"),
        ({"x-homeostat-timeout-ms": "90"}, "0.09 s (the request's x-homeostat-timeout"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_timeout_says_which_limit_struck(headers: dict[str, str], limit: str, stream: bool) -> None:
    async with hanging(timeout_s=0.2) as scene:
        scene.attest(1, healthy=False)
        reply = await scene.post(headers=headers, body={**BODY, "stream": stream})
        assert (reply.status, reply.error["code"]) == (504, "engine_timeout")
        assert limit in reply.error["message"]


def test_silence_ends_with_any_answer() -> None:
    now = 0.0
    ejection = Ejection(1.0, lambda: now, 30.0)
    for now in (10.0, 20.0, 29.0):
        assert not ejection.unanswered("r", now - 10.0)
    ejection.active("r")
    for now in (40.0, 58.0):
        assert not ejection.unanswered("r", now - 10.0)
    now = 60.0
    assert ejection.unanswered("r", 50.0)
    assert ejection.avoided() == {"r"}
