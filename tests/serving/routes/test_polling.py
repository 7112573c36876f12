"""A gateway believes a side-car's answer to its own question, and no other. Real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from serving.routes.answers import Answers
from serving.routes.listed import ReplicaList
from serving.routes.polling import SideCars
from serving.routes.routing import RouteTable
from serving.routes.trust import RefusalReason
from streams.events import ReplicaAttested
from tests.serving.support.side_cars import DIGEST, OTHER_KEY, VERSION, ScriptedSideCar, altered, entry, signed
from tests.support.waiting import until

Answer = Callable[[ScriptedSideCar, str], ReplicaAttested | web.Response]


@pytest.fixture
async def side_car() -> AsyncIterator[ScriptedSideCar]:
    async with ScriptedSideCar().serving() as serving:
        yield serving


def poller(side_car: ScriptedSideCar, base: RouteTable | None = None) -> tuple[SideCars, Answers]:
    table = base or RouteTable()
    answers = Answers(lambda: table, 1.0)
    return SideCars(ReplicaList({"r1": entry(side_car.url)}), lambda: table, answers, 0.05, 0.5), answers


def serving(answers: Answers) -> list[str]:
    return [each.replica for each in answers.table().serving(VERSION, DIGEST)]


def counted(reason: str) -> float:
    return REGISTRY.get_sample_value("homeostat_attestations_refused_total", {"reason": reason}) or 0.0


BAD: dict[str, tuple[RefusalReason, Answer]] = {
    "forged": (RefusalReason.SIGNATURE, lambda car, nonce: signed("r1", car.url, OTHER_KEY, nonce=nonce)),
    "altered": (
        RefusalReason.SIGNATURE,
        lambda car, nonce: altered(signed("r1", car.url, nonce=nonce), base_model="x"),
    ),
    "replayed": (RefusalReason.NONCE, lambda car, nonce: signed("r1", car.url, nonce="an-earlier-question")),
    "of the log": (RefusalReason.NONCE, lambda car, nonce: signed("r1", car.url)),
    "unsigned": (RefusalReason.UNSIGNED, lambda car, nonce: altered(signed("r1", car.url, nonce=nonce), signature="")),
    "another's": (RefusalReason.NAME, lambda car, nonce: signed("r2", car.url, nonce=nonce)),
    "elsewhere": (RefusalReason.ADDRESS, lambda car, nonce: signed("r1", "http://10.0.0.1:8200", nonce=nonce)),
    "no JSON": (RefusalReason.MALFORMED, lambda car, nonce: web.Response(text="<html>")),
    "endless": (RefusalReason.MALFORMED, lambda car, nonce: web.Response(body=b"x" * 5_000_000)),
}


@pytest.mark.parametrize("what", BAD)
async def test_what_is_not_its_own_fresh_answer_sends_it_nothing(side_car: ScriptedSideCar, what: str) -> None:
    """Though a good answer came just before."""
    reason, answer = BAD[what]
    side_cars, answers = poller(side_car)
    async with aiohttp.ClientSession() as session:
        await side_cars.ask(session, "r1")
        assert serving(answers) == ["r1"]
        before = counted(reason.value)
        side_car.answer = lambda nonce: answer(side_car, nonce)
        await side_cars.ask(session, "r1")
    assert serving(answers) == []
    assert counted(reason.value) == before + 1
    assert len(set(side_car.nonces)) == 2


async def test_a_redirect_leads_nowhere(side_car: ScriptedSideCar) -> None:
    side_car.answer = lambda nonce: web.Response(status=307, headers={"location": "http://127.0.0.1:1/"})
    side_cars, answers = poller(side_car)
    async with aiohttp.ClientSession() as session:
        await side_cars.ask(session, "r1")
    assert serving(answers) == []
    assert side_cars.failing() == {"r1"}


async def test_one_that_falls_silent_is_asked_last_at_once_and_gets_nothing_soon(side_car: ScriptedSideCar) -> None:
    side_cars, answers = poller(side_car)
    side_cars.start()
    try:
        await until(lambda: serving(answers) == ["r1"], "its answer")
        assert side_cars.wait(5)
        before = counted("stale")
        side_car.answer = lambda nonce: web.Response(status=503)
        await until(lambda: side_cars.failing() == {"r1"}, "it fails")
        await until(lambda: serving(answers) == [], "it is stale", 20)
        assert counted("stale") == before + 1
        side_car.answer = side_car.honest
        await until(lambda: serving(answers) == ["r1"] and not side_cars.failing(), "it is back")
        side_car.answer = lambda nonce: signed("r1", side_car.url, nonce=nonce, gone=True, healthy=False)
        await until(lambda: not answers.table().attestations, "it has gone")
    finally:
        await asyncio.to_thread(side_cars.close)


async def test_the_log_names_side_cars_of_a_pattern_and_says_when_they_have_news(side_car: ScriptedSideCar) -> None:
    """Nothing else makes the poller ask: it would wait for a minute."""
    port = side_car.url.rpartition(":")[2]
    side_car.name, listed = port, ReplicaList({"*": entry("http://127.0.0.1:{name}")})
    table = RouteTable()
    answers = Answers(lambda: table, 100.0)
    side_cars = SideCars(listed, lambda: table, answers, 60.0, 5.0)
    side_cars.start()
    try:
        assert await asyncio.to_thread(side_cars.wait, 20)
        assert side_car.nonces == []
        record = signed(port, side_car.url)
        table = table.with_attestation(record)
        await until(lambda: serving(answers) == [port], "its first answer")
        side_car.answer = lambda nonce: signed(port, side_car.url, nonce=nonce, versions={})
        side_cars.wake(record)
        await until(lambda: serving(answers) == [], "its second answer", 20)
    finally:
        await asyncio.to_thread(side_cars.close)
