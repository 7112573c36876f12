"""The server's promises to clients that do not keep theirs: raw sockets, under both event loops."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
import uvloop
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serving.gateway.errors import ApiError, unavailable
from serving.gateway.http.asgi import Door
from serving.gateway.http.limits import Limits
from serving.gateway.http.listener import Listener
from serving.gateway.http.protocol import PIPELINED, GuardedProtocol
from serving.gateway.http.request import Request
from serving.gateway.http.transport import ClientTransport
from tests.serving.support.waiting import until
from tests.serving.support.wire import Answer, Wire, asking, wired

LIMITS = Limits(head_bytes=2_000, body_bytes=10_000, head_s=5.0, body_s=5.0, write_s=5.0, idle_s=5.0, connections=50)
SOON_S = 0.1  # a limit that a test waits for
TAIL = asking("/after")  # must never be taken for a request of its own


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


class Application:
    """Answers what its paths say: /echo, /held (until `go`), /stream (until the client reads no more), /brim."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.gone = 0
        self.admitted = 0  # and not over
        self.go = asyncio.Event()
        self.defect: Exception | None = None

    def admit(self, request: Request) -> Callable[[], None]:
        if self.defect is not None:
            raise self.defect
        if request.headers.get("authorization") != "Bearer yes":
            raise ApiError(401, "no", code="no_key")
        self.admitted += 1
        return self._leave

    def _leave(self) -> None:
        self.admitted -= 1

    async def serve(self, request: Request) -> None:
        self.seen.append(request)
        try:
            await getattr(self, "_" + request.path.rpartition("/")[2], self._echo)(request)
        except asyncio.CancelledError:
            self.gone += request.gone
            if request.started and not request.done:
                request.end(b"the end")
            elif not request.done:
                request.keep_alive = False
                request.fail(unavailable("told to end", "shutting_down"))

    async def _echo(self, request: Request) -> None:
        told = {"path": request.path, "headers": request.headers, "body": request.body.decode("latin-1")}
        request.answer(200, json.dumps(told).encode())

    async def _held(self, request: Request) -> None:
        await self.go.wait()
        await self._echo(request)

    async def _two(self, request: Request) -> None:
        request.start(200, [])
        await request.chunk(b"one")
        await self.go.wait()
        request.end(b"two")

    async def _stream(self, request: Request) -> None:
        request.start(200, [])
        while True:
            await request.chunk(b"x" * 10_000)
            await asyncio.sleep(0)

    async def _brim(self, request: Request) -> None:
        """Ends its answer when a little of it is left in the process: less than what pauses a writer."""
        request.start(200, [])
        while not buffered(request):
            await request.chunk(b"x" * 4_096)
        request.end()


def buffered(request: Request) -> int:
    """Bytes of the answer that are still in the process."""
    cycle: RequestResponseCycle = request._send.__self__  # type: ignore[attr-defined]
    return cast(ClientTransport, cycle.transport).own.get_write_buffer_size()


class Place:
    def __init__(self, application: Application, server: Listener) -> None:
        self.application, self.server, self.port = application, server, server.port

    @property
    def connections(self) -> list[GuardedProtocol]:
        return self.server._connections()

    @property
    def held(self) -> int:
        """Bytes of bodies."""
        return int(cast(Door, self.server.config.app)._budget._all)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.application.seen]


@asynccontextmanager
async def serving(*origins: str, **limits: Any) -> AsyncIterator[Place]:
    application = Application()
    server = Listener(application, replace(LIMITS, **limits), origins)
    await server.start("127.0.0.1", 0)
    try:
        yield Place(application, server)
    finally:
        application.go.set()
        await server.drain(0.0)


@pytest.fixture(autouse=True)
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.http.listener.LOOK_EVERY", 1)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with serving() as started:
        yield started


async def said(port: int, data: bytes) -> tuple[Answer, Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = Wire(reader, writer)
    wire.send(data)
    return await wire.answer(), wire


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


HEAD = b"POST /echo HTTP/1.1\r\nhost: x\r\nauthorization: Bearer yes\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
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


# limits


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_head_is_bounded(place: Place, at_once: bool) -> None:
    async with wired(place.port) as wire:
        head = b"POST /echo HTTP/1.1\r\n" + b"".join(b"a%d: %b\r\n" % (i, b"b" * 90) for i in range(30))
        for line in [head + b"\r\n"] if at_once else head.splitlines(keepends=True):
            wire.send(line)
            await asyncio.sleep(0)
        assert (await wire.answer()).code == "head_too_large"
        assert await wire.over()


async def test_one_endless_header_is_bounded(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\na: ")
        for _ in range(30):
            wire.send(b"b" * 100)
            await asyncio.sleep(0.001)
        assert (await wire.answer()).code == "head_too_large"


async def test_a_head_behind_a_large_body_is_not_taken_for_a_large_head(place: Place) -> None:
    async with wired(place.port) as wire:
        after = asking("/b")
        wire.send(asking("/a", b"x" * 9_000) + after[:20])
        assert (await wire.answer()).status == 200
        wire.send(after[20:])
        assert (await wire.answer()).json["path"] == "/b"


async def test_a_target_is_bounded() -> None:
    async with serving(head_bytes=100_000) as place:
        answer, wire = await said(place.port, b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (answer.code, await wire.over()) == ("target_too_long", True)


async def test_a_body_is_bounded_before_it_is_sent(place: Place) -> None:
    answer, wire = await said(place.port, HEAD + b"expect: 100-continue\r\ncontent-length: 10001\r\n\r\n")
    assert (answer.code, await wire.over()) == ("body_too_large", True)


async def test_a_body_in_chunks_is_bounded(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(CHUNKED)
        for _ in range(12):
            wire.send(b"3e8\r\n" + b"x" * 1_000 + b"\r\n")
        assert (await wire.answer()).code == "body_too_large"
        assert await wire.over()
    assert place.paths == []


@pytest.mark.parametrize("line", [b"a: " + b"b" * 90 + b"\r\n", b"b" * 90])
async def test_trailers_are_bounded(place: Place, line: bytes) -> None:
    async with wired(place.port) as wire:
        wire.send(CHUNKED + b"2\r\n{}\r\n0\r\na: ")
        for _ in range(40):
            await asyncio.sleep(0.001)
            wire.send(line)
        wire.send(b"\r\n")
        assert (await wire.answer()).code == "head_too_large"
        assert await wire.over()
    assert place.paths == []


async def test_a_body_of_very_many_chunks_takes_no_more_than_its_bytes() -> None:
    async with serving(body_bytes=200_000) as place, wired(place.port) as wire:
        wire.send(CHUNKED)
        for _ in range(100):
            wire.send(b"2\r\nxy\r\n" * 600)
            await asyncio.sleep(0)
        await until(lambda: place.held == 120_000)
        wire.send(b"0\r\n\r\n")
        assert len((await wire.answer()).json["body"]) == 120_000


async def test_a_head_that_does_not_come_is_not_waited_for() -> None:
    async with serving(head_s=SOON_S) as place:
        async with wired(place.port) as wire:
            assert await wire.over()
        answer, wire = await said(place.port, b"POST /echo HTTP/1.1\r\na: b")
        assert (answer.code, await wire.over()) == ("request_timeout", True)


@pytest.mark.parametrize("begun", [HEAD + b"content-length: 5\r\n\r\n{", CHUNKED, CHUNKED + b"1;x="])
async def test_a_body_that_does_not_come_is_not_waited_for(begun: bytes) -> None:
    async with serving(body_s=SOON_S) as place, wired(place.port) as wire:
        wire.send(begun)
        for _ in range(12):
            await asyncio.sleep(0.01)
            wire.send(b"x" if begun.endswith(b"=") else b"")
        assert (await wire.answer()).code == "request_timeout"
        assert (await wire.over(), place.paths) == (True, [])


async def test_who_asks_nothing_more_is_let_go() -> None:
    async with serving(idle_s=SOON_S) as place, wired(place.port) as wire:
        wire.send(asking())
        assert (await wire.answer()).status == 200
        assert await wire.over()


@pytest.mark.parametrize(("limit", "sent"), [("head_s", 20), ("body_s", -1)])
async def test_a_request_begun_behind_another_has_its_own_time_and_no_more(limit: str, sent: int) -> None:
    async with serving(**{limit: SOON_S}) as place, wired(place.port) as wire:
        wire.send(asking("/held"))
        await until(lambda: place.paths)
        wire.send(asking("/b")[:sent])
        await asyncio.sleep(1.5 * SOON_S)
        place.application.go.set()
        assert (await wire.answer()).json["path"] == "/held"
        assert (await wire.answer()).code == "request_timeout"


async def test_a_defect_with_one_takes_nobody_elses_limits_away(monkeypatch: pytest.MonkeyPatch) -> None:
    look = GuardedProtocol.look

    def looked(connection: GuardedProtocol, now: float) -> None:
        if connection._in_head:
            raise RuntimeError("a defect")
        look(connection, now)

    monkeypatch.setattr(GuardedProtocol, "look", looked)
    async with serving(idle_s=SOON_S) as place, wired(place.port) as odd, wired(place.port) as usual:
        odd.send(b"POST /")
        usual.send(asking())
        assert (await usual.answer()).status == 200
        assert await odd.over()
        assert await usual.over()


@pytest.mark.parametrize("path", ["/stream", "/brim"])
@pytest.mark.parametrize("header", ["x: y", "connection: close"])
async def test_who_does_not_read_is_cut_off(path: str, header: str) -> None:
    async with serving(write_s=SOON_S, idle_s=SOON_S) as place, wired(place.port) as wire:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        wire.send(asking(path, b"{}", header))
        await until(lambda: place.paths)
        (request,) = place.application.seen
        await until(lambda: not place.connections)
        assert buffered(request) < 200_000
        await until(lambda: place.application.gone == (path == "/stream"))


async def test_answers_wait_for_a_client_that_does_not_read_them() -> None:
    """A request costs its sender 80 bytes, its answer a few hundred."""
    async with serving(write_s=SOON_S) as place, wired(place.port) as wire:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: place.connections)
        (connection,) = place.connections
        largest = sent = 0
        while place.connections:
            if len(place.paths) == sent:
                wire.send(asking("/echo", b"x" * 9_000) * 5)
                sent += 5
            await asyncio.sleep(0)
            largest = max(largest, connection._wire.own.get_write_buffer_size())
        assert 0 < largest < 300_000


async def test_more_pipelined_than_may_wait_ends_the_connection(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(asking("/held") + asking("/b") * (PIPELINED + 50))
        await until(lambda: place.paths)
        (connection,) = place.connections
        assert len(connection.pipeline) <= PIPELINED
        place.application.go.set()
        data = await wire.rest()
        assert data.count(b"HTTP/1.1 200") == PIPELINED + 1
        assert data.count(b"HTTP/1.1 400") == 1
    assert len(place.paths) == PIPELINED + 1


async def test_what_waits_is_bounded_in_bytes(place: Place) -> None:
    async with wired(place.port) as wire:
        wire.send(asking("/held"))
        await until(lambda: place.paths)
        for _ in range(8):
            wire.send(asking("/b", b"x" * 9_000))
            await asyncio.sleep(0.005)
        (connection,) = place.connections
        assert sum(len(cycle.body) for cycle, _ in connection.pipeline) < 3 * LIMITS.body_bytes
        place.application.go.set()
        assert [(await wire.answer()).status for _ in range(9)] == [200] * 9


async def test_connections_are_bounded() -> None:
    async with serving(connections=2) as place:
        async with wired(place.port) as first, wired(place.port) as second:
            for wire in (first, second):
                wire.send(asking())
                assert (await wire.answer()).status == 200
            answer, third = await said(place.port, asking())
            assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "overloaded", "1")
            assert await third.over()
            third.hang_up()
        await until(lambda: not place.connections)
        answer, wire = await said(place.port, asking())
        assert (answer.status, len(place.paths)) == (200, 3)


async def test_connections_beyond_the_bound_keep_nothing_for_long() -> None:
    async with serving(connections=2) as place:
        wires = [await asyncio.open_connection("127.0.0.1", place.port) for _ in range(30)]
        await asyncio.sleep(0.05)
        assert len(place.connections) <= 2 * 2
        for _, writer in wires:
            writer.transport.abort()


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
