"""vLLM's interface to adapters, over a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from serving.replica.engine import WARM_UP, AdminRefused, VllmAdmin, session
from serving.replica.probe import NoFingerprint

NAME = "support-0123456789ab"


class Served:
    """Keeps what it was asked; answers with `reply`, or `status`, or not at all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.reply: Any = {}
        self.status, self.hangs = 200, False

    async def __call__(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((request.method, request.path, json.loads(body) if body else None))
        if self.hangs:
            await asyncio.sleep(30)
        return web.json_response(self.reply, status=self.status)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Served, str]]:
    served, app = Served(), web.Application()
    app.router.add_route("*", "/{path:.*}", served)
    async with TestServer(app) as server:
        yield served, str(server.make_url("")).rstrip("/")


async def test_models_are_names_with_the_folders_of_their_weights(served: tuple[Served, str]) -> None:
    fake, url = served
    fake.reply = {"data": [{"id": "base", "root": "/model"}, {"id": NAME, "root": "/a/b"}, {"id": "x", "root": None}]}
    async with session() as http:
        assert await VllmAdmin(http, url).models() == {"base": "/model", NAME: "/a/b", "x": ""}
        fake.reply = {"data": 3}
        with pytest.raises(AdminRefused, match="/v1/models: Expected"):
            await VllmAdmin(http, url).models()


async def test_an_engine_that_sends_elsewhere_is_not_followed() -> None:
    """Keys and adapters are for the addresses of our list."""
    reached: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.json_response({})

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(f"{elsewhere_url}{request.path}")

    first, second = web.Application(), web.Application()
    first.router.add_route("*", "/{path:.*}", away)
    second.router.add_route("*", "/{path:.*}", elsewhere)
    async with TestServer(first) as server, TestServer(second) as other, session() as http:
        elsewhere_url = str(other.make_url("")).rstrip("/")
        with pytest.raises(AdminRefused, match="status 307, expected 200"):
            await VllmAdmin(http, str(server.make_url("")).rstrip("/")).load(NAME, "/a/b")
    assert reached == []


async def test_loading_and_unloading_go_by_name_and_path(served: tuple[Served, str]) -> None:
    fake, url = served
    async with session() as http:
        await VllmAdmin(http, url).load(NAME, "/a/b")
        await VllmAdmin(http, url).unload(NAME)
        fake.status = 400
        with pytest.raises(AdminRefused, match="status 400, expected 200"):
            await VllmAdmin(http, url).load(NAME, "/a/b")
    assert fake.asked[:2] == [
        ("POST", "/v1/load_lora_adapter", {"lora_name": NAME, "lora_path": "/a/b"}),
        ("POST", "/v1/unload_lora_adapter", {"lora_name": NAME}),
    ]


async def test_a_probe_is_of_the_very_name(served: tuple[Served, str]) -> None:
    fake, url = served
    fake.reply = {"model": NAME, "choices": [{"logprobs": {"top_logprobs": [{"token_id:5": -0.25}]}}]}
    async with session() as http:
        assert (await VllmAdmin(http, url).probe(NAME)).logprobs == {"token_id:5": -0.25}
        assert fake.asked[-1][2]["model"] == NAME
        with pytest.raises(NoFingerprint, match=f"probe of other: answered by {NAME}"):
            await VllmAdmin(http, url).probe("other")


async def test_a_fresh_engine_is_asked_for_one_answer_then_for_several_at_once(served: tuple[Served, str]) -> None:
    fake, url = served
    async with session() as http:
        await VllmAdmin(http, url).warm("base")
    assert [len(body["prompt"]) for _, _, body in fake.asked] == list(WARM_UP)
    assert all(body["logprobs"] and body["model"] == "base" for _, _, body in fake.asked)


async def test_an_engine_that_hangs_is_gone_soon(served: tuple[Served, str], monkeypatch: pytest.MonkeyPatch) -> None:
    fake, url = served
    monkeypatch.setattr("serving.replica.engine.ALIVE_TIMEOUT_S", 0.05)
    fake.hangs = True
    async with session() as http:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(VllmAdmin(http, url).models(), 5)
