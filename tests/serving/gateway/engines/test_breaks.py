"""Engines that break, or do not stop."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import structlog.testing
import uvloop

from serving.gateway.engines.ejection import Ejection
from streams.kinds import Arm
from tests.serving.support.certificates import Certificates
from tests.serving.support.raw_engine import Script, Visit, always, chunked, saying, whole
from tests.serving.support.scene import BODY, NEW, NEW_DIGEST, OLD, OLD_DIGEST, Scene
from tests.serving.support.scripted import (
    DONE,
    FIRST,
    LAST,
    SAID,
    SSE,
    STREAMED,
    alone,
    before,
    half_a_body,
    says_nothing,
)
from tests.support.authority import Authority, Pair
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("quick_sweeps", "no_defect")


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


async def half_a_head(visit: Visit) -> None:
    await visit.request()
    visit.say(b"HTTP/1.1 200 OK\r\ncontent-")
    visit.close()


async def no_http(visit: Visit) -> None:
    await visit.request()
    visit.say(b"SSH-2.0-OpenSSH_9.2\r\n")


async def head_and_nonsense(visit: Visit) -> None:
    """At once, so that the answer is broken before anybody has looked at it."""
    await visit.request()
    visit.say(chunked(SAID[:10], end=b"nonsense\r\n"))


BREAKS = [says_nothing, half_a_head, half_a_body, no_http, head_and_nonsense]


@pytest.mark.parametrize("script", BREAKS)
async def test_what_breaks_before_a_byte_is_anothers_turn(script: Script) -> None:
    async with before(script, avoid_s=0.0) as (scene, (engine,)):
        replies = [await scene.post() for _ in range(4)]
        assert [reply.status for reply in replies] == [200] * 4
        assert {event.replica for event in await scene.served(4)} == {"engine-1"}
        assert engine.requests


@pytest.mark.parametrize("script", BREAKS)
async def test_what_no_engine_answers_is_told_without_saying_where(script: Script) -> None:
    async with before(script, script) as (scene, raw):
        reply = await scene.post()
        assert (reply.status, reply.error["code"]) == (503, "replica_unreachable")
        for hidden in ("127.0.0.1", *(engine.url.rpartition(":")[2] for engine in raw), "Traceback", "(", "secret"):
            assert hidden not in reply.data.decode()
        assert [event.status for event in await scene.served(1)] == [503]
        assert reply.headers["x-should-retry"] == "false"
        assert sum(len(engine.requests) for engine in raw) == 2


@pytest.mark.parametrize("end", [Visit.close, Visit.reset])
async def test_what_breaks_after_a_byte_is_never_asked_again(end: Callable[[Visit], None]) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(FIRST, end=b"", headers=SSE))
        await asyncio.sleep(0.02)
        end(visit)

    async with before(script, script) as (scene, raw):
        reply = await scene.post(body=STREAMED)
        assert (reply.status, reply.data.startswith(FIRST), DONE in reply.data) == (200, True, False)
        assert json.loads(reply.data.split(b"\n\n")[1].removeprefix(b"data: "))["error"]["code"] == "engine_failed"
        assert [(event.status, event.output) for event in await scene.served(1)] == [(502, "Card")]
        assert sum(len(engine.requests) for engine in raw) == 1


async def test_a_reply_names_who_gave_it_also_the_second_time() -> None:
    """The canary's replica breaks, the champion's answers."""
    async with before(says_nothing) as (scene, (engine,)):
        scene.route(canary=NEW, weight=0.999999)
        scene.attest(0, {NEW: NEW_DIGEST}, url=engine.url)
        scene.attest(1, {OLD: OLD_DIGEST})
        asked = scene.engines[1]

        async def away(visit: Visit) -> None:
            await visit.request()
            scene.attest(0, healthy=False)
            visit.reset()

        engine.script = away
        reply = await scene.post()
        assert (reply.status, reply.headers["x-homeostat-version"], reply.body["model"]) == (200, OLD, OLD)
        (event,) = await scene.served(1)
        assert (event.version, event.arm, event.replica) == (OLD, Arm.CHAMPION, "engine-1")
        assert (reply.request_id.version, reply.request_id.arm) == (OLD, "champion")
        assert len(asked.bodies) == len(engine.requests) == 1


async def test_stale_connections_cost_no_client_anything() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(whole(SAID))
        await visit.request()
        visit.reset() if visit.number % 2 else visit.close()

    async with before(script) as (scene, (engine,)):
        alone(scene)
        assert [(await scene.post()).status for _ in range(10)] == [200] * 10
        assert [event.replica for event in await scene.served(10)] == ["engine-0"] * 10
        assert len(engine.visits) == 10


async def test_more_than_was_asked_for_is_nobodys_answer() -> None:
    stolen = whole(SAID.replace(b"Card", b"Stolen"))
    async with before(always(whole(SAID) + stolen)) as (scene, _):
        alone(scene)
        for _ in range(5):
            assert b"Stolen" not in (await scene.post()).data
        assert {event.output for event in await scene.served(5)} == {"Card"}


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "ftp://x", "http://a..b:1", "", "http://127.0.0.1:1"])
async def test_an_address_that_leads_nowhere_is_anothers_turn(scene: Scene, url: str) -> None:
    scene.attest(0, url=url)
    assert [(await scene.post()).status for _ in range(4)] == [200] * 4
    scene.attest(1, url=url)
    assert (await scene.post()).status == 503


def test_a_replica_may_fail_for_ever() -> None:
    ejection = Ejection(1.0, lambda: 0.0)
    for _ in range(5_000):
        ejection.failed("r")
    assert ejection.avoided() == {"r"}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_does_not_stop_is_stopped(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.engines.link.MOST_BYTES", 1_000_000)

    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ")
        while True:
            visit.say(b"x" * 10_000)
            await visit.writer.drain()

    async with before(script, tries=1) as (scene, _):
        alone(scene)
        reply = await scene.post(body={**BODY, "stream": stream})
        assert reply.status == (200 if stream else 503)
        assert len(reply.data) < 1_000
        assert [event.status for event in await scene.served(1)] == [502 if stream else 503]


@pytest.mark.slow
@pytest.mark.parametrize("more", [b"", b": still here\n\n"])
async def test_an_engine_that_does_not_end_after_its_last_word_is_let_go(more: bytes) -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        visit.say(chunked(FIRST, LAST + DONE, end=b"", headers=SSE))
        while more:
            await asyncio.sleep(0.01)
            visit.say(b"%x\r\n%b\r\n" % (len(more), more))
            await visit.writer.drain()
        await visit.gone()

    async with before(script, timeout_s=1.0) as (scene, (engine,)):
        alone(scene)
        assert (await scene.post(body=STREAMED)).data == FIRST + LAST + DONE
        assert [event.status for event in await scene.served(1)] == [200]
        await until(lambda: engine.visits[0].left.is_set() or engine.visits[0].writer.transport.is_closing())
        await until(lambda: scene.gateway.admission.in_flight == 0)


async def test_engines_may_have_a_certificate_of_an_authority_of_ones_own(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    scene = Scene()
    scene.settings = replace(scene.settings, engine_ca=made.ca)
    async with saying(always(whole(SAID)), made.server()) as engine, scene.running():
        scene.attest(0, url=engine.url)
        alone(scene)
        assert [(await scene.post()).status for _ in range(2)] == [200, 200]
        assert len(engine.visits) == 1


async def test_whom_engines_must_lead_to_is_read_again_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    former, later = Authority(tmp_path, "former"), Authority(tmp_path, "later")
    trusted, server = tmp_path / "trusted.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.write_bytes(former.ca.read_bytes())
    scene = Scene()
    scene.settings = replace(scene.settings, engine_ca=trusted)
    former_pair, later_pair = former.sign("former-engine"), later.sign("later-engine")

    async def status(pair: Pair) -> int:
        scene.gateway.pool.close()  # else the open connection is used
        server.load_cert_chain(pair.cert, pair.key)
        return (await scene.post()).status

    server.load_cert_chain(former_pair.cert, former_pair.key)
    async with saying(always(whole(SAID)), server) as engine, scene.running():
        scene.attest(0, url=engine.url)
        alone(scene)
        assert (await status(former_pair), await status(later_pair)) == (200, 503)
        trusted.write_text("nothing of use")
        with structlog.testing.capture_logs() as logged:
            assert (await status(former_pair), await status(later_pair)) == (200, 503)
        (kept,) = [each for each in logged if each["event"] == "certificates stay as they were"]
        assert f"gateway.engine_ca = {str(trusted)!r}: cannot be used (" in kept["error"]
        trusted.write_bytes(later.ca.read_bytes())
        assert (await status(former_pair), await status(later_pair)) == (503, 200)
