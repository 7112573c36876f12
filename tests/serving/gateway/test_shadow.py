"""A shadow is asked what clients ask; no client ever notices it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from streams.events import InferenceServed
from streams.kinds import Arm
from tests.serving.support.scene import BODY, NEW, NEW_DIGEST, OLD, OLD_DIGEST, Scene


def by_arm(events: list[InferenceServed], arm: Arm) -> list[InferenceServed]:
    return [event for event in events if event.arm is arm]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_client_asks_is_asked_of_the_shadow_too(stream: bool) -> None:
    async with Scene().running() as scene:
        scene.route(shadow=NEW)
        replies = [await scene.post(body={**BODY, "stream": stream}) for _ in range(5)]
        assert {reply.headers["x-homeostat-version"] for reply in replies} == {OLD}
        events = await scene.served(10)
        mine, mirrored = by_arm(events, Arm.CHAMPION), by_arm(events, Arm.SHADOW)
        assert {event.version for event in mirrored} == {NEW}
        assert sorted(event.mirrors for event in mirrored) == sorted(event.id for event in mine)
        assert all(event.output == "Card arrival." and event.streamed is stream for event in mirrored)
        asked = [{**body, "model": ""} for engine in scene.engines for body in engine.bodies]
        assert all(body == asked[0] for body in asked)


async def test_a_slow_shadow_keeps_no_one_waiting_and_is_bounded() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, shadow_in_flight=2, timeout_s=5.0)
    async with scene.running():
        scene.attest(0, {OLD: OLD_DIGEST})
        scene.attest(1, {NEW: NEW_DIGEST})
        scene.engines[1].mode = "slow"
        scene.route(shadow=NEW)
        replies = await asyncio.gather(*(scene.post() for _ in range(8)))
        assert [reply.status for reply in replies] == [200] * 8
        assert len(scene.engines[1].bodies) <= 2


@pytest.mark.parametrize(
    ("changes", "share"), [({"shadow": None}, 1.0), ({"shadow": NEW}, 0.0), ({"shadow": "support-000000000000"}, 1.0)]
)
async def test_without_a_shadow_no_one_is_asked_twice(changes: dict[str, Any], share: float) -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, shadow_share=share)
    async with scene.running():
        scene.route(**changes)
        assert (await scene.post()).status == 200
        await scene.served(1)


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "status"), [("error", 500), ("break", 502), ("stall", 504)])
async def test_a_failing_shadow_is_captured_as_failing(mode: str, status: int) -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, timeout_s=2.0)
    async with scene.running():
        scene.attest(0, {OLD: OLD_DIGEST})
        scene.attest(1, {NEW: NEW_DIGEST})
        scene.engines[1].mode = mode
        scene.route(shadow=NEW)
        assert (await scene.post(body={**BODY, "stream": mode != "error"})).status == 200
        assert {(event.arm, event.status) for event in await scene.served(2)} == {
            (Arm.CHAMPION, 200),
            (Arm.SHADOW, status),
        }


async def test_only_answered_requests_are_mirrored() -> None:
    async with Scene().running() as scene:
        scene.mode("bad request")
        scene.route(shadow=NEW)
        assert (await scene.post()).status == 400
        await scene.served(1)
