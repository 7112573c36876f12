"""A side-car passes clients' paths to its engine, and nothing else. Real HTTP, a fake engine behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from serving.routes.statement import signed_by
from streams import codec
from streams.events import ReplicaAttested
from tests.serving.support.side_cars import KEY, SideCarScene
from tests.support.waiting import until

NONCE = "0123456789abcdef"
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Where is my card?"}]}
ADMIN = (
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/v1/load_lora_adapter/",
    "/v1//load_lora_adapter",
    "/v1/chat/completions/../../v1/load_lora_adapter",
    "/v1/chat/completions%2f..%2fload_lora_adapter",
    "/V1/load_lora_adapter",
    "/reset_prefix_cache",
    "/sleep",
    "/metrics",
    "/tokenize",
    "/",
)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SideCarScene]:
    async with SideCarScene(tmp_path).serving() as serving:
        yield serving


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def attested(scene: SideCarScene, http: aiohttp.ClientSession, nonce: str = NONCE) -> ReplicaAttested:
    async with http.get(f"{scene.url}/attestation?nonce={nonce}") as reply:
        assert reply.status == 200, await reply.text()
        return codec.decode(ReplicaAttested, await reply.read())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
async def test_inference_goes_to_the_engine_byte_by_byte(
    scene: SideCarScene, http: aiohttp.ClientSession, path: str
) -> None:
    (version, *_) = await scene.served("one")
    for stream in (False, True):
        body = msgspec.json.encode({"model": version, "stream": stream, "prompt": "a", "input": "a", **ASKED})
        headers = {"content-type": "application/json", "accept-encoding": "identity", "traceparent": "00-1-2-03"}
        replies = []
        for url in (scene.url, scene.behind.url):
            async with http.post(url + path, data=body, headers=headers) as reply:
                replies.append((reply.status, reply.headers["content-type"], await reply.read()))
        assert replies[0] == replies[1]
        assert replies[0][0] == 200
    assert scene.behind.bodies[-1] == scene.behind.bodies[-2]


async def test_the_engine_gets_its_own_key_and_none_of_a_client(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    scene = SideCarScene(tmp_path / "store")
    scene.key_file = tmp_path / "key"
    scene.key_file.write_text("s3cret\n")
    async with scene.serving():
        (version, *_) = await scene.served("one")
        body, theirs = {"model": version, **ASKED}, {"authorization": "Bearer of-a-client"}
        async with http.post(f"{scene.url}/v1/chat/completions", json=body, headers=theirs) as reply:
            assert reply.status == 200
    assert [each["authorization"] for each in scene.behind.headers] == ["Bearer s3cret"]


async def test_no_admin_path_reaches_the_engine(scene: SideCarScene) -> None:
    port = int(scene.url.rpartition(":")[2])
    for method in ("GET", "POST", "DELETE", "PUT"):
        for path in ADMIN:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n"
            writer.write(f"{head}{{}}".encode())
            status = (await reader.read()).split(b" ", 2)[1]
            assert status in (b"404", b"405"), (method, path, status)
            writer.close()
    assert scene.behind.strays == []
    assert scene.engine.calls == []


async def test_only_what_is_attested_is_asked(scene: SideCarScene, http: aiohttp.ClientSession) -> None:
    """Neither the base model nor a candidate under evaluation, though the engine has them."""
    await scene.served("one")
    for model in ("base", "evaluation-support-0123456789ab", "support-ffffffffffff"):
        async with http.post(f"{scene.url}/v1/chat/completions", json={"model": model, **ASKED}) as reply:
            assert (reply.status, reply.headers["x-homeostat-engine"]) == (503, "away")
    assert scene.behind.bodies == []
    for data in (b"", b"{", b"[]", b'{"model": 3}', b'{"messages": []}'):
        async with http.post(f"{scene.url}/v1/chat/completions", data=data) as reply:
            assert reply.status == 400


async def test_a_version_that_no_route_wants_any_more_is_served_until_it_is_unloaded(
    scene: SideCarScene, http: aiohttp.ClientSession
) -> None:
    """Gateways find out a moment later."""
    adapters = await scene.served("one", "two")
    old, new = adapters
    scene.route(2, {new: adapters[new]}, new)
    await until(lambda: old not in scene.ours.attester.versions, "it is unwanted")
    assert {old, new} <= scene.ours.answering
    async with http.post(f"{scene.url}/v1/chat/completions", json={"model": old, **ASKED}) as reply:
        assert reply.status == 200
    assert old not in (await attested(scene, http)).versions


async def test_it_attests_what_it_serves_signed_for_who_asks(scene: SideCarScene, http: aiohttp.ClientSession) -> None:
    adapters = await scene.served("one", "two")
    one, other = await attested(scene, http), await attested(scene, http, "another-nonce-of-its-own")
    assert signed_by(one, KEY.public_key())
    assert (one.replica, one.url, one.versions, one.healthy) == ("r1", scene.url, adapters, True)
    assert (one.nonce, other.nonce) == (NONCE, "another-nonce-of-its-own")
    assert one.sequence < other.sequence
    await until(lambda: scene.attested[-1].versions == adapters, "the log has it")
    logged = scene.attested[-1]
    assert (logged.versions, logged.nonce) == (adapters, "")
    assert signed_by(logged, KEY.public_key())


@pytest.mark.parametrize("query", ["", "?nonce=", "?nonce=short", "?nonce=" + "a" * 129, "?nonce=%00%00%00" + "a" * 20])
async def test_a_nonce_that_is_none_gets_no_signature(
    scene: SideCarScene, http: aiohttp.ClientSession, query: str
) -> None:
    async with http.get(f"{scene.url}/attestation{query}") as reply:
        assert (reply.status, (await reply.json())["error"]["param"]) == (400, "nonce")


async def test_an_engine_that_is_gone_is_attested_so_at_once(scene: SideCarScene, http: aiohttp.ClientSession) -> None:
    (version, *_) = await scene.served("one")
    scene.log_away = scene.engine.away = True
    await scene.behind.stop()
    await until(lambda: not scene.ours.answering, "it is noticed")
    assert not (await attested(scene, http)).versions
    async with http.get(f"{scene.url}/health") as reply:
        assert reply.status == 503
    async with http.post(f"{scene.url}/v1/chat/completions", json={"model": version, **ASKED}) as reply:
        assert (reply.status, reply.headers["x-homeostat-engine"]) == (503, "away")


@pytest.mark.parametrize(("listens_on", "loss"), [(True, "lost"), (False, "gone")])
async def test_why_the_engine_gave_no_answer_is_in_a_header(
    tmp_path: Path, http: aiohttp.ClientSession, listens_on: bool, loss: str
) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        if not listens_on:
            dying.close()
        writer.close()

    dying = await asyncio.start_server(die, "127.0.0.1", 0)
    scene = SideCarScene(tmp_path)
    scene.engine_url = f"http://127.0.0.1:{dying.sockets[0].getsockname()[1]}"
    async with dying, scene.serving():
        (version, *_) = await scene.served("one")
        async with http.post(f"{scene.url}/v1/chat/completions", json={"model": version, **ASKED}) as reply:
            assert (reply.status, reply.headers["x-homeostat-engine"]) == (503, loss)


async def test_a_client_that_hangs_up_ends_the_engines_work(scene: SideCarScene, http: aiohttp.ClientSession) -> None:
    (version, *_) = await scene.served("one")
    scene.behind.mode = "slow"
    asking = asyncio.create_task(http.post(f"{scene.url}/v1/chat/completions", json={"model": version, **ASKED}))
    await until(lambda: len(scene.behind.bodies) == 1, "it is asked")
    asking.cancel()
    await until(lambda: scene.behind.cancelled == 1, "the engine stops")


async def test_the_models_are_those_that_are_attested(scene: SideCarScene, http: aiohttp.ClientSession) -> None:
    adapters = await scene.served("one", "two")
    async with http.get(f"{scene.url}/v1/models") as reply:
        assert {each["id"] for each in (await reply.json())["data"]} == set(adapters)
    async with http.get(f"{scene.url}/health") as reply:
        assert reply.status == 200


async def test_a_body_beyond_the_limit_is_refused(scene: SideCarScene, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{scene.url}/v1/completions", data=b"x" * 100_001) as reply:
        assert reply.status == 413
