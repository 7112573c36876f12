"""A gateway in front of side-cars, over sockets: what fails behind one is answered by the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.application import Gateway
from serving.gateway.http.listener import Listener
from serving.routes.answers import Answers
from serving.routes.listed import ReplicaList
from serving.routes.polling import SideCars
from serving.settings import GatewaySettings
from streams.identity import Signer
from tests.serving.support.scene import BODY
from tests.serving.support.side_cars import SideCarScene, entry
from tests.support.waiting import until


class Installation:
    """Two side-cars and a gateway that asks them every 50 ms; the log is away but for the routes."""

    def __init__(self, folder: Path) -> None:
        self.replicas = [SideCarScene(folder / name, name) for name in ("r1", "r2")]

    async def start(self, held: AsyncExitStack) -> None:
        for each in self.replicas:
            await held.enter_async_context(each.serving())
            self.adapters = await each.served("one")
        listed = ReplicaList({each.name: entry(each.url) for each in self.replicas})
        self.answers = Answers(lambda: self.replicas[0].routing, 1.5)
        side_cars = SideCars(listed, lambda: self.replicas[0].routing, self.answers, 0.05, 0.5)
        side_cars.start()
        held.push_async_callback(asyncio.to_thread, side_cars.close)
        keys, self.http = KeyRing([Key.of("app", "secret")]), await held.enter_async_context(aiohttp.ClientSession())
        gateway = Gateway(
            GatewaySettings(), self.answers.table, keys, Signer(b"key"), lambda *_, **__: True, side_cars.failing
        )
        server = Listener(gateway, gateway.limits)
        await server.start("127.0.0.1", 0)
        held.push_async_callback(gateway.close)
        held.push_async_callback(server.drain, 1.0)
        self.url = f"http://127.0.0.1:{server.port}/v1/chat/completions"
        await until(lambda: len(self.serving()) == 2, "both answer")

    def serving(self) -> set[str]:
        ((version, digest),) = self.adapters.items()
        return {each.replica for each in self.answers.table().serving(version, digest)}

    async def ask(self, **body: object) -> tuple[int, str]:
        headers = {"authorization": "Bearer secret"}
        async with self.http.post(self.url, json={**BODY, **body}, headers=headers) as reply:
            data = await reply.text()
            assert reply.status != 200 or reply.headers["x-homeostat-version"] in self.adapters
            return reply.status, data


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Installation]:
    made = Installation(tmp_path)
    async with AsyncExitStack() as held:
        await made.start(held)
        yield made


async def test_answers_come_through_whole_and_as_streams(place: Installation) -> None:
    status, data = await place.ask()
    assert (status, json.loads(data)["choices"][0]["message"]["content"]) == (200, "Card arrival.")
    status, data = await place.ask(stream=True)
    assert status == 200
    assert data.rstrip().endswith("data: [DONE]")


async def test_an_engine_that_is_gone_behind_its_side_car_fails_no_request(place: Installation) -> None:
    """Neither before its side-car notices, nor after."""
    await place.replicas[0].behind.stop()
    assert {(await place.ask())[0] for _ in range(10)} == {200}
    place.replicas[0].engine.away = True
    await until(lambda: place.serving() == {"r2"}, "the gateway knows")
    asked = len(place.replicas[1].behind.bodies)
    assert {(await place.ask())[0] for _ in range(10)} == {200}
    assert len(place.replicas[1].behind.bodies) == asked + 10


async def test_a_dead_side_car_gets_nothing_soon_and_fails_nothing(place: Installation) -> None:
    await place.replicas[0].server.drain(0.0)
    assert {(await place.ask())[0] for _ in range(10)} == {200}
    await until(lambda: place.serving() == {"r2"}, "it is stale", 20)


async def test_while_the_log_is_away_side_cars_are_believed_for_ever(place: Installation) -> None:
    for each in place.replicas:
        each.log_away = True
    await asyncio.sleep(3.0)
    assert place.serving() == {"r1", "r2"}
    assert {(await place.ask())[0] for _ in range(10)} == {200}
