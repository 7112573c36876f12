"""From the start to the end: clients that hang up or ask first, and the server's own end."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.serving.support.http_server import HEAD, SOON_S, Place, serving
from tests.serving.support.wire import asking, wired
from tests.support.waiting import until

# hanging up


@pytest.mark.parametrize("path", ["/held", "/two", "/stream"])
@pytest.mark.parametrize("after", [b"", asking("/b"), asking("/b")[:30]])
async def test_a_hang_up_is_noticed_at_once(place: Place, path: str, after: bytes) -> None:
    async with wired(place.port) as wire:
        wire.send(asking(path) + after)
        await until(lambda: place.paths)
        wire.hang_up()
        await until(lambda: place.application.gone)
    assert place.paths == [path]
    await until(lambda: not place.connections)


# Expect: 100-continue


async def test_who_asks_before_it_sends_is_told_to_go_on(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(HEAD + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert (await wire.answer()).status == 100
        wire.send(b"{}")
        assert (await wire.answer()).json["body"] == "{}"
        wire.send(b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert (await wire.answer()).status == 401
        assert await wire.over()


async def test_no_go_on_is_said_in_the_midst_of_another_answer(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(asking("/two") + HEAD + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        await until(lambda: place.paths)
        await asyncio.sleep(0.02)
        place.application.go.set()
        assert (await wire.answer()).body == b"onetwo"
        assert (await wire.answer()).status == 100
        wire.send(b"{}")
        assert (await wire.answer()).json["body"] == "{}"


# the end


async def test_told_to_end_it_answers_what_is_under_way_and_takes_nobody_new() -> None:
    async with serving() as place, wired(place.port) as busy, wired(place.port) as idle, wired(place.port) as begun:
        idle.send(asking())
        assert (await idle.answer()).status == 200
        busy.send(asking("/held"))
        begun.send(asking("/b")[:-1])
        await until(lambda: "/held" in place.paths)
        draining = asyncio.create_task(place.server.drain(4.0))
        assert await idle.over()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", place.port)
        place.application.go.set()
        begun.send(asking("/b")[-1:])
        for wire in (busy, begun):
            answer = await wire.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await wire.over()
        await draining


@pytest.mark.slow
async def test_what_does_not_end_in_time_is_cut_off_with_a_word() -> None:
    async with (
        serving() as place,
        wired(place.port) as whole,
        wired(place.port) as streamed,
        wired(place.port) as begun,
    ):
        whole.send(asking("/held"))
        streamed.send(asking("/two"))
        begun.send(asking("/b")[:-1])
        await until(lambda: len(place.paths) == 2)
        await place.server.drain(0.05)
        assert [(answer := await wire.answer()).code for wire in (whole, begun)] == ["shutting_down"] * 2
        assert answer.status == 503
        assert (await streamed.answer()).body == b"onethe end"
        for wire in (whole, streamed, begun):
            assert await wire.over()


async def test_nothing_behind_the_last_answer_is_begun(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(asking("/a", b"{}", "connection: close") + asking("/b"))
        assert (await wire.answer()).headers["connection"] == "close"
        assert await wire.over()
        assert place.paths == ["/a"]


async def test_nothing_of_all_this_is_an_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with serving(write_s=SOON_S, idle_s=SOON_S) as place:
            for data in (b"", b"\0", asking() + b"nonsense", asking("/stream"), asking("/held"), asking(key=None)):
                async with wired(place.port) as wire:
                    wire.send(data)
                    await asyncio.sleep(0.01)
            await until(lambda: not place.connections)
    assert caplog.records == []
