"""A gateway before engines whose every byte the test writes, and the texts that they and their clients send."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from streams.events import InferenceServed
from tests.serving.support.raw_engine import RawEngine, Script, Visit, saying, whole
from tests.serving.support.scene import BODY, Scene
from tests.serving.support.wire import Answer, asking, wired

CHAT = "/v1/chat/completions"
STREAMED = {**BODY, "stream": True}
SSE = ("content-type: text/event-stream",)
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"Card"}}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
SAID = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Card"},"finish_reason":"stop"}]}'


@asynccontextmanager
async def before(*scripts: Script, **settings: Any) -> AsyncIterator[tuple[Scene, list[RawEngine]]]:
    """Run a gateway before engines with these scripts; the rest of the two are as usual."""
    scene = Scene()
    scene.settings = replace(scene.settings, **settings)
    async with AsyncExitStack() as held:
        raw = [await held.enter_async_context(saying(script)) for script in scripts]
        await held.enter_async_context(scene.running())
        for i, engine in enumerate(raw):
            scene.attest(i, url=engine.url)
        yield scene, raw


def alone(scene: Scene, i: int = 0) -> None:
    """The other engine is away."""
    scene.attest(1 - i, healthy=False)


def chat(body: Any = BODY, *headers: str, path: str = CHAT, key: str | None = "secret", **more: str) -> bytes:
    return asking(path, body if isinstance(body, bytes) else json.dumps(body).encode(), *headers, key=key, **more)


async def answered(scene: Scene, data: bytes) -> Answer:
    async with wired(scene.port) as wire:
        wire.send(data)
        return await wire.answer()


def events(scene: Scene) -> list[InferenceServed]:
    return [event for event in scene.events if isinstance(event, InferenceServed)]


async def says_nothing(visit: Visit) -> None:
    await visit.request()
    visit.reset()


async def half_a_body(visit: Visit) -> None:
    await visit.request()
    visit.say(whole(SAID)[:-10])
    visit.close()
