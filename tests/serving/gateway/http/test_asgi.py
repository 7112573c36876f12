"""What is checked before a body is read, and the budget of bodies."""

from __future__ import annotations

import asyncio
import time
from email.utils import parsedate_to_datetime

import pytest

from tests.serving.support.http_server import CHUNKED, HEAD, SOON_S, Place, serving
from tests.serving.support.wire import asking, wired
from tests.support.waiting import until

POST = b"POST /echo HTTP/1.1\r\nauthorization: Bearer yes\r\ncontent-length: 2\r\n"
BAD_HOSTS = (
    *(b"", b"host:\r\n", b"host: a\r\nhost: a\r\n", b"host: a\r\nHost: b\r\n", b"host: a b\r\n", b"host: a/b\r\n"),
    *(
        b"host: a@b\r\n",
        b"host: a:b\r\n",
        b"host: a:1:2\r\n",
        b"host: [::1\r\n",
        b"host: a\\\r\n",
        b"host: \xe4\r\n",
    ),
)
GOOD_HOSTS = (b"x", b"a.example:8080", b"127.0.0.1:1", b"[::1]:8000", b"a_b-c", b"a:")


@pytest.mark.parametrize("lines", BAD_HOSTS)
async def test_a_request_without_exactly_one_valid_host_is_refused(place: Place, lines: bytes) -> None:
    async with wired(place.port) as wire:
        wire.send(POST + lines + b"\r\n{}" + asking("/after"))
        answer = await wire.answer()
        assert (answer.status, answer.code, answer.headers["connection"]) == (400, "bad_host", "close")
        assert await wire.over()
    assert place.paths == []


@pytest.mark.parametrize("host", GOOD_HOSTS)
async def test_a_valid_host_is_none_of_the_gateways_business(place: Place, host: bytes) -> None:
    async with wired(place.port) as wire:
        wire.send(POST + b"host: " + host + b"\r\n\r\n{}")
        assert (await wire.answer()).status == 200


@pytest.mark.parametrize("data", [asking(), asking(key=None), b"nonsense\r\n\r\n"])
async def test_every_answer_has_a_date(place: Place, data: bytes) -> None:
    async with wired(place.port) as wire:
        wire.send(data)
        told = parsedate_to_datetime((await wire.answer()).headers["date"])
        assert abs(told.timestamp() - time.time()) < 3


async def test_no_body_is_asked_for_before_its_key_is_checked(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9000\r\n\r\n")
        assert (await wire.answer()).status == 401
        assert await wire.over()
    assert (place.held, place.application.admitted) == (0, 0)


async def test_bodies_are_held_within_a_budget_of_each_key_and_one_for_all() -> None:
    async with serving(bodies_bytes_per_key=15_000, bodies_bytes=25_000) as place:
        held = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(2)]
        for (_, writer), key in zip(held, "ab", strict=True):
            writer.write(asking("/held", b"x" * 9_000, f"x-key: {key}"))
        await until(lambda: len(place.paths) == 2)
        assert place.held == 18_000
        for key, code in (("a", "too_many_bytes"), ("c", "overloaded")):
            async with wired(place.port) as wire:
                wire.send(asking("/b", b"x" * 9_000, f"x-key: {key}", "expect: 100-continue")[:-9_000])
                answer = await wire.answer()
                assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, code, "1")
                assert await wire.over()
        assert place.held == 18_000
        async with wired(place.port) as wire:
            wire.send(asking("/b", b"x" * 5_000, "x-key: b"))
            assert (await wire.answer()).status == 200
        place.application.go.set()
        await until(lambda: place.held == place.application.admitted == 0)
        for _, writer in held:
            writer.transport.abort()


async def test_a_body_in_chunks_takes_of_the_budget_as_it_comes() -> None:
    async with serving(bodies_bytes_per_key=5_000) as place, wired(place.port) as wire:
        wire.send(CHUNKED)
        for _ in range(4):
            wire.send(b"3e8\r\n" + b"x" * 1_000 + b"\r\n")
        await until(lambda: place.held == 4_000)
        wire.send((b"3e8\r\n" + b"x" * 1_000 + b"\r\n") * 3)
        assert (await wire.answer()).code == "too_many_bytes"
        await until(lambda: place.held == place.application.admitted == 0)


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_a_body_that_never_ends_gives_everything_back(hangs_up: bool) -> None:
    async with serving(body_s=SOON_S) as place, wired(place.port) as wire:
        wire.send(HEAD + b"content-length: 9000\r\n\r\nx")
        await until(lambda: place.held == 9_000)
        if hangs_up:
            wire.hang_up()
        else:
            assert (await wire.answer()).code == "request_timeout"
        await until(lambda: place.held == place.application.admitted == 0)
    assert place.paths == []
