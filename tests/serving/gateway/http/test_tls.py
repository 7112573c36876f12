"""A gateway with a certificate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from deploy.roles.gateway import certificate_of
from tests.serving.support.certificates import Certificates
from tests.serving.support.scene import BODY, Scene
from tests.serving.support.scripted import CHAT, STREAMED, chat
from tests.serving.support.wire import wired

pytestmark = pytest.mark.usefixtures("quick_sweeps", "no_defect")


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


@asynccontextmanager
async def behind_tls(folder: Path) -> AsyncIterator[tuple[Scene, Certificates]]:
    scene, made = Scene(), Certificates(folder)
    scene.settings = replace(scene.settings, tls_cert=made.cert, tls_key=made.key, head_timeout_s=0.3)
    scene.tls = certificate_of(scene.settings)
    async with scene.running():
        yield scene, made


@pytest.mark.slow
async def test_a_gateway_with_a_certificate_speaks_https_and_nothing_else(tmp_path: Path) -> None:
    async with behind_tls(tmp_path) as (scene, made):
        async with wired(scene.port, made.client()) as wire:
            wire.send(chat() + chat(STREAMED) + chat(key="wrong"))
            assert [(await wire.answer()).status for _ in range(3)] == [200, 200, 401]
            assert await wire.over()
        async with wired(scene.port, made.client()) as wire:
            wire.send(chat(BODY, "connection: close"))
            assert (await wire.answer()).status == 200
            assert await wire.over()
        async with wired(scene.port) as plain:
            plain.send(chat())
            said = await plain.rest()
            assert b"HTTP" not in said
        async with wired(scene.port) as silent:
            assert await silent.over()
        async with wired(scene.port, made.client()) as wire:
            wire.send(chat())
            assert (await wire.answer()).status == 200
        assert len(await scene.served(4)) == 4


@pytest.mark.slow
async def test_limits_hold_behind_tls_too(tmp_path: Path) -> None:
    async with behind_tls(tmp_path) as (scene, made), wired(scene.port, made.client()) as wire:
        wire.send(b"POST " + CHAT.encode())
        assert (await wire.answer()).code == "request_timeout"
