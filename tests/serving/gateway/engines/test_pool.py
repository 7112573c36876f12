"""Connections to engines: every framing, every way to break, and never another's answer. Both event loops."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from serving.gateway.engines.link import HIGH_WATER, Broken, Link, Unreached
from serving.gateway.engines.pool import EnginePool
from serving.routes.listed import ReplicaList
from streams.engine_access import EngineAccess
from tests.serving.support.certificates import Certificates
from tests.serving.support.raw_engine import RawEngine, Visit, always, chunked, saying, whole
from tests.serving.support.side_cars import entry, signed
from tests.support.authority import Authority
from tests.support.waiting import until

PATH = "/v1/chat/completions"


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


@pytest.fixture
async def pool() -> AsyncIterator[EnginePool]:
    pool = EnginePool(connect_timeout_s=1.0)
    yield pool
    pool.close()


async def asked(pool: EnginePool, engine: RawEngine, body: bytes = b"{}", timeout_s: float = 4.0) -> tuple[int, bytes]:
    link = await pool.ask(engine.url, PATH, body, timeout_s)
    return link.status, await link.read()


async def streamed(link: Link) -> bytes:
    try:
        return b"".join([piece async for piece in link.stream()])
    finally:
        link.release()


# framings

FRAMINGS: dict[str, tuple[bytes, int, bytes, bool]] = {  # answer, status, body, whether the connection may be reused
    "length": (whole(b"hello"), 200, b"hello", True),
    "no body": (whole(b""), 200, b"", True),
    "chunks": (chunked(b"he", b"llo"), 200, b"hello", True),
    "chunks with extensions": (chunked(b"he", b"llo").replace(b"2\r\n", b"2;a=b\r\n"), 200, b"hello", True),
    "trailers": (chunked(b"hello", end=b"0\r\ncontent-type: odd\r\nx: y\r\n\r\n"), 200, b"hello", True),
    "no chunk": (chunked(), 200, b"", True),
    "closed": (whole(b"hello", "connection: close"), 200, b"hello", False),
    "HTTP/1.0": (whole(b"hello").replace(b"1.1", b"1.0"), 200, b"hello", False),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\nhello", 200, b"hello", False),
    "after hints": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + whole(b"a"),
        200,
        b"a",
        True,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b"", True),
    "an unknown status": (whole(b"x", status="599 Odd"), 599, b"x", True),
    "no reason": (whole(b"x", status="200"), 200, b"x", True),
}


@pytest.mark.parametrize("name", FRAMINGS)
@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_every_framing_is_understood(pool: EnginePool, name: str, slowly: bool, stream: bool) -> None:
    answer, status, body, reused = FRAMINGS[name]

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.say_slowly(answer, 1 if slowly else len(answer))
            if not reused:
                visit.close()

    async with saying(script) as engine:
        for _ in range(2):
            link = await pool.ask(engine.url, PATH, b"{}", 4.0)
            assert "link" not in link.headers
            assert link.headers.get("content-type") is None
            assert (link.status, await (streamed(link) if stream else link.read())) == (status, body)
        assert len(engine.visits) == (1 if reused else 2)


WRONG = {
    "length, chunks": b"HTTP/1.1 200 X\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "no HTTP": b"hello\r\n\r\n",
    "line feeds": b"HTTP/1.1 200 OK\ncontent-length: 1\n\na",
    "a folded header": b"HTTP/1.1 200 OK\r\ncontent-type: a\r\n b\r\ncontent-length: 1\r\n\r\na",
    "a switch": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "hints only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
    "half the chunks": chunked(b"ab", end=b""),
    "an odd chunk": chunked(b"ab", end=b"x\r\n"),
    "a coding without an end": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc",
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("end", [Visit.close, Visit.reset])
async def test_what_is_no_whole_answer_is_none(pool: EnginePool, name: str, end: Callable[[Visit], None]) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(WRONG[name])
        await asyncio.sleep(0.01)
        end(visit)

    async with saying(script) as engine:
        with pytest.raises(Unreached) as raised:
            await asked(pool, engine)
        assert "127.0.0.1" not in str(raised.value)
        assert len(engine.requests) == 1, "an engine that began to answer is not asked again behind the caller's back"


async def test_a_stream_that_breaks_gives_what_came_and_then_breaks(pool: EnginePool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(b"ab", end=b""))
        await asyncio.sleep(0.02)
        visit.reset()

    async with saying(script) as engine:
        link = await pool.ask(engine.url, PATH, b"{}", 4.0)
        stream = link.stream()
        assert await anext(stream) == b"ab"
        with pytest.raises(Broken):
            await anext(stream)
        link.release()


# kept connections


async def test_a_connection_closed_while_idle_costs_nothing(pool: EnginePool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(whole(b"a"))
        await asyncio.sleep(0.03)
        visit.reset() if visit.number % 2 else visit.close()

    async with saying(script) as engine:
        assert [await asked(pool, engine) for _ in range(1)] == [(200, b"a")]
        links = [await pool.ask(engine.url, PATH, b"{}", 4.0) for _ in range(3)]
        for link in links:
            assert await link.read() == b"a"
        await asyncio.sleep(0.1)
        assert await asked(pool, engine) == (200, b"a")


async def test_connections_closed_just_when_they_are_used_cost_nothing(pool: EnginePool) -> None:
    """The engine hangs up when it sees the second request, as one does that was restarted: all those kept."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await until(lambda: len(engine.requests) >= 3)
        visit.say(whole(b"%d" % visit.number))
        await visit.request()
        visit.close() if visit.number % 2 else visit.reset()

    async with saying(script) as engine:
        links = [asyncio.create_task(asked(pool, engine)) for _ in range(3)]
        await asyncio.gather(*links)
        assert await asked(pool, engine, b"once") == (200, b"3")


async def test_an_engine_that_began_to_answer_is_not_asked_again(pool: EnginePool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(whole(b"a"))
        await visit.request()
        visit.say(b"HTTP/1.1 2")
        await asyncio.sleep(0.01)
        visit.close()

    async with saying(script) as engine:
        await asked(pool, engine)
        with pytest.raises(Unreached):
            await asked(pool, engine, b"second")
        assert engine.requests.count(b"second") == 1


@pytest.mark.parametrize("extra", [whole(b"b", "content-type: odd", status="404 X"), b"garbage", b"HTTP/1.1 2"])
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_more_than_was_asked_for_is_nobodys_answer(
    pool: EnginePool, extra: bytes, later: bool, stream: bool
) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        if later:
            visit.say(whole(b"first"))
            await asyncio.sleep(0.02)
            visit.say(extra)
        else:
            visit.say(whole(b"first") + extra)
        await visit.request()
        visit.say(whole(b"second"))

    async with saying(script) as engine:
        link = await pool.ask(engine.url, PATH, b"{}", 4.0)
        assert await (streamed(link) if stream else link.read()) == b"first"
        assert (link.status, "content-type" in link.headers) == (200, False)
        await until(lambda: link.closed)
        assert (await asked(pool, engine))[0] == 200
        assert len(engine.visits) == 2


async def test_an_answer_let_go_early_is_not_the_next_ones(pool: EnginePool) -> None:
    async def script(visit: Visit) -> None:
        body = await visit.request()
        visit.say(chunked(body, end=b""))
        await visit.gone()

    async with saying(script) as engine:
        for body in (b"one", b"two"):
            link = await pool.ask(engine.url, PATH, body, 4.0)
            async for piece in link.stream():
                assert piece == body
                break
            link.release()
            link.release()
        await until(lambda: all(visit.left.is_set() for visit in engine.visits))
        assert len(engine.visits) == 2


async def test_a_stream_that_no_one_ended_cannot_take_the_next_ones_connection(pool: EnginePool) -> None:
    """A cancelled request leaves an asynchronous generator behind, which ends when it pleases."""

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(b"a", b"b"))
        await visit.request()
        visit.say(chunked(b"c", end=b""))
        await visit.request()

    async with saying(script) as engine:
        link = await pool.ask(engine.url, PATH, b"{}", 4.0)
        left = link.stream()
        await anext(left)
        await until(lambda: link._whole)
        link.release()
        again = await pool.ask(engine.url, PATH, b"{}", 4.0)
        assert again is link
        await left.aclose()
        assert not again.closed
        assert not pool._idle[engine.url]


async def test_a_connection_held_back_is_not_kept(pool: EnginePool) -> None:
    """An answer that came whole but was never taken: nothing is read from its connection."""
    async with saying(always(whole(b"x" * (HIGH_WATER + 10_000)))) as engine:
        link = await pool.ask(engine.url, PATH, b"{}", 4.0)
        stream = link.stream()
        link._streaming = True  # as when it has begun and its client reads nothing
        await until(lambda: link._whole)
        assert link._paused
        await stream.aclose()
        link.release()
        assert (await asked(pool, engine, timeout_s=2.0))[0] == 200


async def test_an_idle_connection_keeps_nothing_of_its_last_answer(pool: EnginePool) -> None:
    async with saying(always(whole(b"x" * 100_000))) as engine:
        link = await pool.ask(engine.url, PATH, b"{}", 4.0)
        await link.read()
        assert not link._parts


async def test_dead_connections_are_forgotten(pool: EnginePool) -> None:
    """After a busy time there are many, and the one that is used is always the same."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await until(lambda: len(engine.requests) >= 20)
        visit.say(whole(b"a"))
        if visit.number == 0:
            await always(whole(b"a"))(visit)
        await let_go.wait()
        visit.close()

    let_go = asyncio.Event()
    async with saying(script) as engine:
        links = await asyncio.gather(*(pool.ask(engine.url, PATH, b"{}", 4.0) for _ in range(20)))
        alive = engine.visits[0].writer.get_extra_info("peername")
        for link in sorted(links, key=lambda link: bool(link._transport.get_extra_info("sockname") == alive)):
            await link.read()
        assert len(pool._idle[engine.url]) == 20
        let_go.set()
        await until(lambda: sum(link.closed for link in links) == 19)
        await asked(pool, engine)
        assert len(pool._idle[engine.url]) == 1


# backpressure and floods


async def test_an_engine_is_read_no_faster_than_its_client_reads(pool: EnginePool) -> None:
    piece, sent = b"x" * 10_000, 0

    async def script(visit: Visit) -> None:
        nonlocal sent
        await visit.request()
        visit.say(chunked(end=b""))
        for _ in range(4_000):
            visit.say(b"%x\r\n%b\r\n" % (len(piece), piece))
            await visit.writer.drain()
            sent += len(piece)
        visit.say(b"0\r\n\r\n")

    async with saying(script) as engine:
        link = await pool.ask(engine.url, PATH, b"{}", 4.0)
        stream = link.stream()
        taken = len(await anext(stream))
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 20_000_000
        assert link._waiting < HIGH_WATER + 300_000
        async for more in stream:
            taken += len(more)
        assert taken == 4_000 * len(piece)
        link.release()


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: ",
        chunked(end=b"") + b"fffffffff\r\n",
    ],
)
async def test_an_endless_answer_is_none(pool: EnginePool, flood: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.engines.link.MOST_BYTES", 1_000_000)

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(flood)
        while True:
            visit.say(b"x" * 50_000)
            await visit.writer.drain()

    async with saying(script) as engine:
        with pytest.raises(Unreached):
            await asked(pool, engine)
        with pytest.raises((Broken, Unreached)):
            await streamed(await pool.ask(engine.url, PATH, b"{}", 4.0))
        await until(lambda: all(visit.writer.transport.is_closing() for visit in engine.visits))


async def test_endless_hints_are_no_answer(pool: EnginePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.engines.link.MOST_BYTES", 100_000)

    async def script(visit: Visit) -> None:
        await visit.request()
        while True:
            visit.say(b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n" * 100)
            await visit.writer.drain()

    async with saying(script) as engine:
        with pytest.raises(Unreached):
            await asked(pool, engine)


# time


async def hanging(visit: Visit) -> None:
    await visit.request()
    await visit.gone()


async def test_an_engine_that_says_nothing_is_a_timeout_and_let_go(pool: EnginePool) -> None:
    async with saying(hanging) as engine:
        with pytest.raises(TimeoutError):
            await asked(pool, engine, timeout_s=0.1)
        await until(lambda: engine.visits[0].left.is_set())


async def test_a_whole_answer_has_one_limit_however_it_drips(pool: EnginePool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
        for _ in range(100):
            visit.say(b"x")
            await asyncio.sleep(0.02)

    async with saying(script) as engine:
        with pytest.raises(TimeoutError):
            await asked(pool, engine, timeout_s=0.2)


@pytest.mark.slow
async def test_a_streams_limit_holds_for_each_piece(pool: EnginePool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(end=b""))
        for _ in range(4):
            await asyncio.sleep(0.2)
            visit.say(b"1\r\nx\r\n")

    async with saying(script) as engine:
        link = await pool.ask(engine.url, PATH, b"{}", 0.7)
        stream = link.stream()
        assert [await anext(stream) for _ in range(4)] == [b"x"] * 4
        with pytest.raises(TimeoutError):
            await anext(stream)
        link.release()


@pytest.mark.slow
async def test_a_slow_client_is_not_its_engines_silence(pool: EnginePool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(b"x" * 3_000_000))

    async with saying(script) as engine:
        link, taken = await pool.ask(engine.url, PATH, b"{}", 1.0), 0
        async for piece in link.stream():
            if not taken:
                await asyncio.sleep(1.3)
            taken += len(piece)
        link.release()
        assert taken == 3_000_000


async def test_connecting_counts(pool: EnginePool) -> None:
    """An engine that accepts and then says nothing, not even its certificate."""
    pool.connect_timeout_s = 3.0
    async with saying(Visit.gone) as engine:
        engine.url = engine.url.replace("http:", "https:")
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await asked(pool, engine, timeout_s=0.1)
        assert asyncio.get_running_loop().time() - began < 2.5
        pool.connect_timeout_s = 0.1
        with pytest.raises(Unreached):
            await asked(pool, engine)


@pytest.mark.slow
async def test_asking_again_does_not_begin_the_time_again(pool: EnginePool) -> None:
    """A kept connection that ends without an answer after a while: what is left is for the next one."""

    async def script(visit: Visit) -> None:
        await visit.request()
        if visit.number == 0:
            visit.say(whole(b"a"))
            await visit.request()
            await asyncio.sleep(1.0)
            visit.close()
        await visit.gone()

    async with saying(script) as engine:
        await asked(pool, engine)
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await asked(pool, engine, timeout_s=1.2)
        assert asyncio.get_running_loop().time() - began < 2.0


@pytest.mark.parametrize("headed", [False, True])
async def test_a_cancelled_request_ends_the_engines_at_once(pool: EnginePool, headed: bool) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(b"x", end=b"") if headed else b"")
        await visit.gone()

    async with saying(script) as engine:
        asking = asyncio.create_task(asked(pool, engine))
        await until(lambda: engine.requests)
        await asyncio.sleep(0.02)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: engine.visits[0].left.is_set())


async def test_a_request_cancelled_while_connecting_leaves_no_connection(pool: EnginePool) -> None:
    async with saying(Visit.gone) as engine:
        engine.url = engine.url.replace("http:", "https:")
        asking = asyncio.create_task(asked(pool, engine))
        await until(lambda: engine.visits)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: engine.visits[0].left.is_set())


# addresses


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "http://", "http://127.0.0.1:99999", "http://127.0.0.1:x", "http://a..b:80", "", "http://127.0.0.1:1"],
)
async def test_an_address_that_leads_nowhere_is_an_engine_not_reached(pool: EnginePool, url: str) -> None:
    for _ in range(2):
        with pytest.raises(Unreached) as raised:
            await pool.ask(url, PATH, b"{}", 1.0)
        assert "127.0.0.1" not in str(raised.value)


async def test_a_path_before_the_path_is_asked_and_a_name_in_the_address_is_not_sent_on(pool: EnginePool) -> None:
    async with saying(always(whole(b"a"))) as engine:
        link = await pool.ask(engine.url.replace("//", "//me:secret@") + "/one/", PATH, b"{}", 4.0)
        assert await link.read() == b"a"
        (head,) = engine.visits[0].heads
        assert head.startswith(b"POST /one/v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:")
        assert b"secret" not in head


async def test_an_engine_behind_tls_is_asked_where_its_certificate_is_trusted(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    async with saying(always(whole(b"a")), made.server()) as engine:
        other = ssl.create_default_context(cafile=str(made.other_ca))
        for tls, reached in ((None, False), (other, False), (made.client(), True)):
            pool = EnginePool(1.0, tls)
            if reached:
                assert await asked(pool, engine) == await asked(pool, engine) == (200, b"a")
            else:
                with pytest.raises(Unreached):
                    await asked(pool, engine)
            pool.close()


@pytest.mark.parametrize("kind", ["engine", "side-car"])
async def test_a_certificate_that_changes_is_shown_by_the_next_connection_and_half_a_change_harms_nothing(
    tmp_path: Path, kind: str
) -> None:
    """As cert-manager renews it: certificate and key come one after the other."""
    authority = Authority(tmp_path)
    broker, ours = authority.sign("engine"), authority.sign("first", file="ours")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    server.load_cert_chain(broker.cert, broker.key)
    server.verify_mode = ssl.CERT_REQUIRED
    async with saying(always(whole(b"a")), server) as engine:
        if kind == "engine":
            access = EngineAccess(url=engine.url, ca=authority.ca, cert=ours.cert, key=ours.key)
            pool = EnginePool(4.0, engines={access.address: access})
        else:
            known = ReplicaList({"r1": entry(engine.url, ca=authority.ca, cert=ours.cert, key=ours.key)})
            known.check(signed("r1", engine.url))
            pool = EnginePool(4.0, tls_at=known.tls_at)

        async def shown() -> str:
            pool.close()  # else the open connection is used
            assert await asked(pool, engine) == (200, b"a")
            found = engine.visits[-1].writer.get_extra_info("peercert")["subject"]
            return str(dict(each[0] for each in found)["commonName"])

        assert await shown() == "first"
        former = ours.key.read_bytes()
        authority.sign("second", file="ours")
        ours.key.write_bytes(former)
        assert await shown() == "first"
        authority.sign("third", file="ours")
        assert await shown() == "third"
        pool.close()


async def test_an_engine_of_others_gets_its_key_and_an_address_that_is_not_listed_gets_nothing(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    async with saying(always(whole(b"a"))) as engine, saying(always(whole(b"a"))) as stranger:
        access = EngineAccess(url=engine.url, key_file=key)
        pool = EnginePool(1.0, engines={access.address: access})
        assert await asked(pool, engine) == (200, b"a")
        (head,) = engine.visits[0].heads
        assert b"\r\nAuthorization: Bearer s3cret\r\n" in head
        with pytest.raises(Unreached, match=r"not in \[engines\]"):
            await asked(pool, stranger)
        assert not await pool.listens(stranger.url)
        assert stranger.visits == []
        pool.close()
