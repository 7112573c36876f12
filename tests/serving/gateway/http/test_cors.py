"""Pages of named origins may read answers, others may not; OPTIONS and HEAD as clients and browsers use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from serving.settings import GatewaySettings
from tests.serving.support.scene import Scene

PAGE, OTHER = "https://app.example", "https://evil.example"
CHAT = "/v1/chat/completions"
ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "authorization, x-stainless-os"}


def scene(*origins: str) -> Scene:
    made = Scene()
    made.settings = replace(made.settings, cors_origins=origins)
    return made


async def asked(place: Scene, method: str, path: str = CHAT, **headers: str) -> tuple[int, Mapping[str, str]]:
    more: dict[str, Any] = {"headers": {name.replace("_", "-"): value for name, value in headers.items()}}
    async with place.http.request(method, place.url(path), **more) as reply:
        return reply.status, reply.headers


def cross(headers: Mapping[str, str]) -> list[str]:
    return [name for name in headers if name.lower().startswith("access-control-")]


async def test_no_page_may_read_answers_where_no_origin_is_named() -> None:
    async with scene().running() as place:
        status, headers = await asked(place, "OPTIONS", origin=PAGE, **ASKS)
        assert (status, headers["allow"], cross(headers)) == (200, "POST, OPTIONS", [])
        reply = await place.post(headers={"origin": PAGE})
        assert (reply.status, cross(reply.headers)) == (200, [])


@pytest.mark.parametrize("origins", [(PAGE,), ("*",)])
async def test_a_page_of_a_named_origin_may_ask_and_read(origins: tuple[str, ...]) -> None:
    async with scene(*origins).running() as place:
        status, headers = await asked(place, "OPTIONS", origin=PAGE, **ASKS)
        assert (status, headers["access-control-allow-origin"]) == (200, PAGE)
        assert "POST" in headers["access-control-allow-methods"]
        assert headers["access-control-allow-headers"] == ASKS["access-control-request-headers"]
        assert headers.get("connection") != "close"
        for key, expected in (("secret", 200), ("wrong", 401)):
            reply = await place.post(headers={"origin": PAGE}, key=key)
            assert (reply.status, reply.headers["access-control-allow-origin"]) == (expected, PAGE)
            assert reply.headers["vary"] == "origin"
            assert "x-homeostat-request-id" in reply.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in reply.headers


async def test_a_page_of_another_origin_may_not() -> None:
    async with scene(PAGE).running() as place:
        status, headers = await asked(place, "OPTIONS", origin=OTHER, **ASKS)
        assert (status, cross(headers), headers["connection"]) == (200, [], "close")
        assert cross((await place.post(headers={"origin": OTHER})).headers) == []


@pytest.mark.parametrize("origin", ["app.example", "https://app.example/path", "", "null"])
def test_an_origin_that_is_none_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(ValueError, match="cors_origins"):
        GatewaySettings(cors_origins=(origin,))


async def test_options_names_what_a_path_takes() -> None:
    async with scene().running() as place:
        for path, allow in (("/v1/models", "GET, HEAD, OPTIONS"), ("/v1/models/support", "GET, HEAD, OPTIONS")):
            status, headers = await asked(place, "OPTIONS", path)
            assert (status, headers["allow"]) == (200, allow)
        assert (await asked(place, "OPTIONS", "/metrics"))[0] == 404
        assert [engine.strays + engine.bodies for engine in place.engines] == [[], []]


async def test_head_answers_as_get_without_its_body() -> None:
    async with scene().running() as place:
        key = {"authorization": "Bearer secret"}
        status, headers = await asked(place, "HEAD", "/v1/models", **key)
        async with place.http.get(place.url("/v1/models"), headers=key) as reply:
            assert (status, headers["content-length"]) == (200, str(len(await reply.read())))
        assert (await asked(place, "HEAD", "/v1/models"))[0] == 401
        status, headers = await asked(place, "HEAD", CHAT, **key)
        assert (status, headers["allow"]) == (405, "POST, OPTIONS")


async def test_who_has_no_key_learns_how_to_give_one() -> None:
    async with scene().running() as place:
        for key in ("wrong", ""):
            reply = await place.post(key=key)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="homeostat"')
