"""What no client should send: everybody is answered or hung up on, nobody learns what is behind the gateway."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import uvloop

from tests.serving.support.malformed.case import Case, Ending
from tests.serving.support.malformed.judge import Judge
from tests.serving.support.malformed.mix import cases, drips
from tests.serving.support.scene import BODY, Scene

CASES = 600


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


def hurried() -> Scene:
    scene = Scene()
    scene.settings = replace(scene.settings, head_timeout_s=0.3, body_timeout_s=0.3, timeout_s=1.0)
    return scene


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_malformed_gets_a_500_a_hang_or_a_secret(seed: int) -> None:
    async with hurried().running() as scene:
        secrets = [engine.url.rpartition(":")[2].encode() for engine in scene.engines] + [b"Bearer secret"]
        judge = Judge(scene.port, 8.0, [b":" + port for port in secrets[:2]] + secrets[2:])
        faults = await judge.all(cases(seed, CASES, "secret"))
        assert [(verdict.case.name, verdict.fault) for verdict in faults] == []
        assert {400, 401, 404} <= set(judge.statuses)
        assert {path for engine in scene.engines for path in engine.strays} <= {"/v1/embeddings"}
        assert (await scene.post(body=BODY)).status == 200


@pytest.mark.slow
async def test_who_drips_is_told_to_go() -> None:
    async with hurried().running() as scene:
        judge = Judge(scene.port, 5.0)
        assert await judge.all(drips(3, 40, "secret"), at_once=40) == []
        assert (await scene.post(body=BODY)).status == 200


@pytest.mark.slow
async def test_the_judge_can_tell() -> None:
    """A test that cannot fail would be none."""
    async with Scene().running() as scene:
        scene.mode("slow")
        judge = Judge(scene.port, 0.3)
        verdict = await judge.one(Case("waits", b"POST /v1/chat/completions HTTP/1.1\r\n", Ending.READ))
        assert verdict.fault.startswith("neither answer")
        told = Judge(scene.port, 2.0, [b"unknown_path"])
        assert (await told.one(Case("leaks", b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n"))).fault.startswith("tells")
