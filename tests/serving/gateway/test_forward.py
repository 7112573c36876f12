"""A request on its way to an engine and back: headers, time, clients that hang up or do not read, capture."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serving.gateway.http.protocol import GuardedProtocol
from tests.serving.support.raw_engine import Script, Visit, always, chunked, whole
from tests.serving.support.scene import BODY, Scene
from tests.serving.support.scripted import (
    CHAT,
    DONE,
    FIRST,
    LAST,
    SAID,
    SSE,
    STREAMED,
    alone,
    answered,
    before,
    chat,
    events,
    half_a_body,
    says_nothing,
)
from tests.serving.support.wire import wired
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("quick_sweeps", "no_defect")


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


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


@pytest.mark.parametrize("limit", ["-0", "1e999", "٣", "0x1", "1" * 5_000, ""])
async def test_an_odd_time_limit_is_told(scene: Scene, limit: str) -> None:
    answer = await answered(scene, chat(BODY, "x-homeostat-timeout-ms: ").replace(b"ms: ", b"ms: " + limit.encode()))
    assert (answer.status, answer.json["error"]["param"]) == (400, "x-homeostat-timeout-ms")


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
