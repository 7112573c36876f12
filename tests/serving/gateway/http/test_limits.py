"""The bounds on what clients send, and the time that they have for it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from serving.gateway.http.protocol import PIPELINED, GuardedProtocol
from tests.serving.support.http_server import CHUNKED, HEAD, LIMITS, SOON_S, Place, buffered, said, serving
from tests.serving.support.wire import Wire, asking, wired
from tests.support.waiting import until

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


@pytest.mark.slow
async def test_a_head_that_does_not_come_is_not_waited_for() -> None:
    async with serving(head_s=SOON_S) as place:
        async with wired(place.port) as wire:
            assert await wire.over()
        answer, wire = await said(place.port, b"POST /echo HTTP/1.1\r\na: b")
        assert (answer.code, await wire.over()) == ("request_timeout", True)


@pytest.mark.slow
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


@pytest.mark.slow
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
    enforce_times = GuardedProtocol.enforce_times

    def failing(connection: GuardedProtocol, now: float) -> None:
        if connection._in_head:
            raise RuntimeError("a defect")
        enforce_times(connection, now)

    monkeypatch.setattr(GuardedProtocol, "enforce_times", failing)
    async with serving(idle_s=SOON_S) as place, wired(place.port) as odd, wired(place.port) as usual:
        odd.send(b"POST /")
        usual.send(asking())
        assert (await usual.answer()).status == 200
        assert await odd.over()
        assert await usual.over()


@pytest.mark.slow
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


@pytest.mark.slow
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
            largest = max(largest, connection._wire.buffered())
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


async def test_connections_of_one_address_are_bounded_and_take_no_other_ones_place() -> None:
    async with serving(connections_per_address=2) as place:
        async with wired(place.port) as first, wired(place.port) as second:
            for wire in (first, second):
                wire.send(asking())
                assert (await wire.answer()).status == 200
            answer, third = await said(place.port, asking())
            assert (answer.status, answer.code) == (503, "overloaded")
            assert await third.over()
            third.hang_up()
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port, local_addr=("127.0.0.2", 0))
            elsewhere = Wire(reader, writer)
            elsewhere.send(asking())
            assert (await elsewhere.answer()).status == 200
            elsewhere.hang_up()
        await until(lambda: not place.connections)
        assert not place.server._shared.counts.by_network
        answer, wire = await said(place.port, asking())
        assert answer.status == 200
        wire.hang_up()


@pytest.mark.parametrize("begun", [CHUNKED + b"1;x=", CHUNKED + b"1\r\ny\r\n1;x="])
async def test_extensions_of_chunks_are_bounded(place: Place, begun: bytes) -> None:
    async with wired(place.port) as wire:
        wire.send(begun)
        for _ in range(40):
            await asyncio.sleep(0.001)
            wire.send(b"b" * 90)
        assert (await wire.answer()).code == "head_too_large"
        assert await wire.over()
    assert place.paths == []


async def test_empty_lines_between_requests_do_not_keep_a_connection() -> None:
    async with serving(idle_s=SOON_S) as place, wired(place.port) as wire:
        wire.send(asking())
        assert (await wire.answer()).status == 200
        for _ in range(100):
            if not place.connections:
                return
            wire.send(b"\r\n")
            await asyncio.sleep(0.02)
    raise AssertionError("still open")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/stream", "/large"])
async def test_a_slow_reader_is_never_cut_off(path: str) -> None:
    """It takes much longer than `write_s` for what waits in the process alone, and than `idle_s` after the end."""
    async with serving(write_s=3 * SOON_S, idle_s=SOON_S) as place:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", place.port))
        await loop.sock_sendall(client, asking(path))
        for _ in range(60):
            assert await loop.sock_recv(client, 2_000)
            await asyncio.sleep(0.02)
        assert place.connections
        assert place.application.gone == 0
        client.close()


async def test_a_refused_upload_sees_its_answer() -> None:
    """Closing at once would reset the connection, and the answer with it."""
    async with serving() as place, wired(place.port) as wire:
        wire.send(asking("/b", b"x" * 10_000, key=None)[:-9_000])
        for _ in range(100):
            wire.send(b"x" * 50_000)
            await asyncio.sleep(0.001)
        assert (await wire.answer()).code == "no_key"
        assert await wire.over()
