"""What clients may reach of an engine: the paths that are listed, with a key, and no header of their own."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.serving.support.scene import BODY, Scene
from tests.serving.support.scripted import answered, chat
from tests.serving.support.wire import wired
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("quick_sweeps", "no_defect")


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    policy: asyncio.AbstractEventLoopPolicy = uvloop.EventLoopPolicy()  # as in production
    return policy


@pytest.mark.parametrize(
    "target",
    [
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/v1/chat/completions/../../load_lora_adapter",
        "/v1/chat/completions/..%2f..%2fload_lora_adapter",
        "/v1/models/../load_lora_adapter",
        "/v1/models/%2e%2e/load_lora_adapter",
        "/v1%2Fchat/completions",
        "/v1/chat%2fcompletions",
        "/v1/chat/completion%73",
        "//v1/chat/completions",
        "/./v1/chat/completions",
        "/v1/chat/completions/x",
        "/v1/chat/completions;x",
        "/v1/chat/completions%20",
        "/v1/chat/completions%00",
        "/v1/chat/completions\\",
        "/V1/chat/completions",
        "http://engine/v1/load_lora_adapter",
        "http://engine/v1/chat/completions",
        "*",
        "/metrics",
        "/",
    ],
)
async def test_only_what_is_listed_reaches_an_engine(scene: Scene, target: str) -> None:
    for method in ("POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
        async with wired(scene.port) as wire:
            wire.send(chat(path=target, method=method))
            assert (await wire.answer(method)).status in (404, 405)
    assert [engine.strays + engine.bodies for engine in scene.engines] == [[], []]


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic c2VjcmV0",
        "secret",
        "Bearer secret,",
        "Bearer Secret",
        "Bearer ß",
    ],
)
async def test_without_a_key_nothing_reaches_an_engine(scene: Scene, authorization: str) -> None:
    stranger = chat(BODY, f"authorization: {authorization}", key=None)
    for data, statuses in ((stranger + chat(), [401]), (chat() + stranger + chat(), [200, 401])):
        async with wired(scene.port) as wire:
            wire.send(data)
            assert [(await wire.answer()).status for _ in statuses] == statuses
            assert await wire.over()
    assert sum(len(engine.bodies) for engine in scene.engines) == 1


async def test_a_key_for_feedback_does_not_infer_behind_its_feedback(scene: Scene) -> None:
    """Its head comes while another request is answered, its body afterwards."""
    scene.mode("slow")
    async with wired(scene.port) as wire:
        stranger = chat(key="wrong")
        wire.send(chat() + stranger[:-5])
        await until(lambda: sum(len(engine.bodies) for engine in scene.engines) == 1)
        await asyncio.sleep(0.02)
        scene.mode("")
        for engine in scene.engines:
            engine.hurry.set()
        assert (await wire.answer()).status == 200
        wire.send(stranger[-5:])
        assert (await wire.answer()).status == 401
    assert sum(len(engine.bodies) for engine in scene.engines) == 1


@pytest.mark.parametrize("value", ["a\r\n b: c", "a\rb", "a\nb: c", "a\0b"])
async def test_no_header_brings_another_along(scene: Scene, value: str) -> None:
    answer = await answered(scene, chat(BODY, f"traceparent: {value}"))
    assert (answer.status, answer.code) == (400, "bad_request")
    assert [engine.bodies for engine in scene.engines] == [[], []]
