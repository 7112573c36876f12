"""Reading: requests in any pieces, what could be read in two ways, requests behind others."""

from __future__ import annotations

import asyncio

import pytest

from serving.gateway.http.protocol import PIPELINED
from tests.serving.support.http_server import CHUNKED, HEAD, TAIL, Place, said
from tests.serving.support.wire import asking, wired
from tests.support.waiting import until

# one request, one answer


async def test_requests_of_a_connection_are_answered_in_order(place: Place) -> None:
    async with wired(place.port) as wire:
        for i in range(3):
            wire.send(asking(f"/echo?{i}", b"x" * i))
            assert (await wire.answer()).json["body"] == "x" * i
        wire.send(b"".join(asking(f"/{i}") for i in range(PIPELINED)))
        assert [(await wire.answer()).json["path"] for _ in range(PIPELINED)] == [f"/{i}" for i in range(PIPELINED)]


async def test_a_request_may_come_in_any_pieces(place: Place) -> None:
    async with wired(place.port) as wire:
        chunked = asking("/b", b"", "transfer-encoding: chunked").replace(b"content-length: 0\r\n", b"")
        whole = asking("/a", b"abc") + chunked + b"2;ext=1\r\nde\r\n1\r\nf\r\n0\r\nx: y\r\n\r\n" + asking("/c")
        for i in range(len(whole)):
            wire.send(whole[i : i + 1])
            await asyncio.sleep(0)
        answers = [(await wire.answer()).json for _ in range(3)]
        assert [(a["path"], a["body"]) for a in answers] == [("/a", "abc"), ("/b", "def"), ("/c", "{}")]


@pytest.mark.parametrize("path", ["/echo/", "/echo//", "/echo?x=1", "/echo/?x=/a/../b"])
async def test_slashes_at_the_end_and_queries_do_not_matter(place: Place, path: str) -> None:
    async with wired(place.port) as wire:
        wire.send(asking(path))
        assert (await wire.answer()).json["path"] == "/echo"


async def test_an_empty_body_is_a_body(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nhost: x\r\nauthorization: Bearer yes\r\n\r\n" + asking("/echo", b""))
        assert [(await wire.answer()).json["body"] for _ in range(2)] == ["", ""]


async def test_head_is_answered_without_a_body(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(asking(method="HEAD") + asking("/b") + asking("/a", method="HEAD", key=None))
        assert int((await wire.answer("HEAD")).headers["content-length"]) > 0
        assert (await wire.answer()).json["path"] == "/b"
        assert (await wire.answer("HEAD")).status == 401
        assert await wire.over()


@pytest.mark.parametrize("header", ["connection: close", "Connection: Close", "connection: x, close"])
async def test_who_wants_no_more_is_told_so_and_let_go(place: Place, header: str) -> None:
    async with wired(place.port) as wire:
        wire.send(asking("/echo", b"{}", header) + b"\r\n")
        assert (await wire.answer()).headers["connection"] == "close"
        assert await wire.over()


@pytest.mark.parametrize("header", ["x: y", "connection: keep-alive"])
async def test_a_client_of_http_1_0_gets_the_end_it_waits_for(place: Place, header: str) -> None:
    async with wired(place.port) as wire:
        wire.send(asking("/echo", b"{}", header, "expect: 100-continue", http="1.0"))
        answer = await wire.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await wire.over()
    place.application.go.set()
    async with wired(place.port) as wire:
        wire.send(asking("/two", b"{}", header, http="1.0"))
        answer = await wire.answer()
        assert (answer.body, answer.headers["connection"]) == (b"onetwo", "close")


async def test_an_upgrade_to_what_is_not_spoken_here_is_let_be(place: Place) -> None:
    """Java's client asks for HTTP/2 so with each first request."""
    async with wired(place.port) as wire:
        asks = asking("/a", b"abc", "connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
        wire.send(asks + asks + asking("/b"))
        assert [(await wire.answer()).json["path"] for _ in range(3)] == ["/a", "/a", "/b"]
        for i in range(len(asks)):
            wire.send(asks[i : i + 1])
            await asyncio.sleep(0)
        told = (await wire.answer()).json
        assert (told["body"], told["headers"]["authorization"]) == ("abc", "Bearer yes")
        wire.send(
            CHUNKED.replace(b"host: x", b"host: x\r\nconnection: upgrade, close\r\nupgrade: x")
            + b"2\r\n{}\r\n0\r\n\r\n"
        )
        assert (await wire.answer()).json["body"] == "{}"
        assert await wire.over()


# what could be read in two ways


AMBIGUOUS = {
    "length and chunks": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "two equal lengths": HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
    "a list of lengths": HEAD + b"content-length: 2, 2\r\n\r\n{}",
    "a signed length": HEAD + b"content-length: +2\r\n\r\n{}",
    "a length of letters": HEAD + b"content-length: 0x2\r\n\r\n{}",
    "an endless length": HEAD + b"content-length: 99999999999999999999999\r\n\r\n{}",
    "a folded header": HEAD + b"traceparent: a\r\n b: c\r\n\r\n",
    "a folded coding": HEAD + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a line feed after a header": HEAD + b"a: b\nc: d\r\n\r\n",
    "a line feed after the first line": b"POST /echo HTTP/1.1\nhost: x\nauthorization: Bearer yes\n\n",
    "a carriage return in a header": HEAD + b"a: b\rc: d\r\n\r\n",
    "a zero in a header": HEAD + b"a: b\0c\r\n\r\n",
    "a space before the colon": HEAD + b"content-length : 2\r\n\r\n{}",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "an unknown coding": HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "no coding": HEAD + b"transfer-encoding: identity\r\n\r\n",
    "chunks and something": HEAD + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks twice": HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a line feed after a chunk's size": CHUNKED + b"1\nx\n0\n\n",
    "a line feed in a chunk's extension": CHUNKED + b"1;a\nx\r\n0\r\n\r\n",
    "a chunk less than nothing": CHUNKED + b"-1\r\nx\r\n0\r\n\r\n",
    "a chunk beyond numbers": CHUNKED + b"fffffffffffffffff\r\nx",
    "a chunk longer than it says": CHUNKED + b"1\r\nxyz\r\n0\r\n\r\n",
    "a space in the target": b"POST /echo /b HTTP/1.1\r\nhost: x\r\n\r\n",
    "a target that is no ASCII": "POST /ä HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
    "a method in lower case": b"post /echo HTTP/1.1\r\nhost: x\r\n\r\n",
    "a tunnel": b"CONNECT engine:8001 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer yes\r\n\r\n",
    "an upgraded tunnel": b"CONNECT engine:8001 HTTP/1.1\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": b"GET /echo HTTP/1.2\r\nhost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_could_be_read_in_two_ways_is_refused_with_all_that_follows(place: Place, name: str) -> None:
    answer, wire = await said(place.port, AMBIGUOUS[name] + TAIL)
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "bad_request", "close")
    assert await wire.over()
    assert "/after" not in place.paths
    wire.hang_up()


@pytest.mark.parametrize("version", ["GET /echo\r\n\r\n", "GET /echo HTTP/2.0\r\n\r\n"])
async def test_other_versions_are_told_which_one_is_spoken(place: Place, version: str) -> None:
    answer, wire = await said(place.port, version.encode())
    assert (answer.status, await wire.over(), place.paths) == (505, True, [])


async def test_what_was_asked_before_is_answered_first(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(asking("/held") + asking("/b") + b"nonsense\r\n\r\n" + TAIL)
        await until(lambda: place.paths)
        place.application.go.set()
        answers = [await wire.answer() for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 400]
        assert await wire.over()
    assert place.paths == ["/held", "/b"]


async def test_trailers_never_become_headers(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(CHUNKED + b"2\r\n{}\r\n0\r\nauthorization: other\r\nx-session-id: other\r\nhost: y\r\n\r\n")
        headers = (await wire.answer()).json["headers"]
        assert headers == {"host": "x", "authorization": "Bearer yes", "transfer-encoding": "chunked"}


# each request is admitted by itself


async def test_nothing_behind_a_refused_request_is_read(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(asking("/a") + asking("/b", key=None) + asking("/c"))
        assert [(await wire.answer()).status for _ in range(2)] == [200, 401]
        assert await wire.over()
    assert place.paths == ["/a"]


@pytest.mark.parametrize("sent", [0, 1, 30, -1])
async def test_what_waits_for_its_turn_is_admitted_too(place: Place, sent: int) -> None:
    """Its head may come while another request is answered, and its end when nobody is."""
    async with wired(place.port) as wire:
        wire.send(asking("/held"))
        await until(lambda: place.paths)
        stranger = asking("/b", b"x" * 40, key=None)
        cut = len(stranger) - 40 + sent if sent >= 0 else len(stranger)
        wire.send(stranger[:cut])
        await asyncio.sleep(0.02)
        place.application.go.set()
        assert (await wire.answer()).json["path"] == "/held"
        wire.send(stranger[cut:])
        assert (await wire.answer()).code == "no_key"
    assert place.paths == ["/held"]


async def test_a_defect_in_admission_lets_nobody_in(place: Place) -> None:
    place.application.defect = RuntimeError("a secret")
    answer, wire = await said(place.port, asking() + TAIL)
    assert (answer.status, b"secret" in answer.body) == (500, False)
    assert (await wire.over(), place.paths) == (True, [])
