"""How much a client may ask, who is asked while a replica is ill, and how long anybody waits."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from serving.gateway.access.admission import Admission
from serving.gateway.access.keys import Key
from serving.gateway.engines.ejection import LONGEST_S, Ejection
from serving.gateway.errors import ApiError
from tests.serving.support.clock import ManualClock
from tests.serving.support.scene import BODY, Scene


def test_a_key_gets_its_minutes_worth_and_then_waits() -> None:
    clock = ManualClock()
    admission, key = Admission(100, clock, 100), Key("app", "", requests_per_minute=60)
    for _ in range(60):
        admission.enter(key)()
    with pytest.raises(ApiError) as refused:
        admission.enter(key)
    assert (refused.value.status, refused.value.code, refused.value.headers["retry-after"]) == (
        429,
        "rate_limited",
        "1",
    )
    clock.now = 1.0
    admission.enter(key)()
    with pytest.raises(ApiError):
        admission.enter(key)
    admission.enter(Key("other", ""))


def test_a_keys_requests_under_way_are_bounded_and_given_back() -> None:
    admission, key = Admission(100, ManualClock(), 100), Key("app", "", max_in_flight=1)
    leave = admission.enter(key)
    with pytest.raises(ApiError) as refused:
        admission.enter(key)
    assert refused.value.code == "too_many_in_flight"
    leave()
    admission.enter(key)
    assert admission.in_flight == 1


def test_a_replica_that_fails_again_is_left_alone_for_longer() -> None:
    clock = ManualClock()
    ejection = Ejection(1.0, clock)
    spans = []
    for _ in range(8):
        ejection.failed("r")
        began = clock.now
        while "r" in ejection.avoided():
            clock.now += 0.25
        spans.append(clock.now - began)
    assert spans == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_S, LONGEST_S, LONGEST_S]
    ejection.trying("r")
    assert "r" in ejection.avoided()
    ejection.answered("r")
    assert not ejection.avoided()


async def test_more_than_the_gateway_may_take_is_sent_back_for_later() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, max_in_flight=2)
    async with scene.running():
        scene.mode("slow")
        waiting = [asyncio.create_task(scene.post()) for _ in range(2)]
        while sum(len(engine.bodies) for engine in scene.engines) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        reply = await scene.post()
        assert (reply.status, reply.error["code"], reply.error["type"]) == (429, "overloaded", "rate_limit_error")
        assert int(reply.headers["retry-after"]) >= 1
        for each in waiting:
            each.cancel()
        await scene.served(2)
        scene.mode("")
        assert (await scene.post()).status == 200


async def test_each_key_has_bounds_of_its_own() -> None:
    scene = Scene()
    scene.keys.append(replace(Key.of("small", "small"), requests_per_minute=2))
    async with scene.running():
        assert [(await scene.post(key="small")).status for _ in range(3)] == [200, 200, 429]
        assert (await scene.post()).status == 200


async def test_a_client_may_have_less_time_than_the_operator_gives() -> None:
    async with Scene().running() as scene:
        scene.mode("slow")
        reply = await scene.post(headers={"x-homeostat-timeout-ms": "150"})
        assert (reply.status, reply.error["code"]) == (504, "engine_timeout")
        assert "x-should-retry" not in reply.headers  # its own time is the client's affair
        for wrong in ("soon", "0", "-1", "inf", "nan"):
            reply = await scene.post(headers={"x-homeostat-timeout-ms": wrong})
            assert (reply.status, reply.error["param"]) == (400, "x-homeostat-timeout-ms")


@pytest.mark.slow
async def test_an_ill_replica_returns_once_it_answers_again() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, avoid_s=0.05)
    async with scene.running():
        scene.engines[0].mode = "lost"
        assert [(await scene.post()).status for _ in range(6)] == [200] * 6
        scene.engines[0].mode = ""
        await asyncio.sleep(0.3)
        for _ in range(6):
            await scene.post()
        replicas = [event.replica for event in (await scene.served(12))[6:]]
        assert replicas.count("engine-0") >= 2


async def test_equals_take_turns() -> None:
    async with Scene().running() as scene:
        for _ in range(10):
            await scene.post()
        assert [len(engine.bodies) for engine in scene.engines] == [5, 5]


async def test_feedback_that_cannot_be_kept_is_not_taken() -> None:
    async with Scene().running() as scene:
        about = (await scene.post(body=BODY)).headers["x-homeostat-request-id"]
        scene.full = True
        sent = {"request_id": about, "label": "x"}
        reply = await scene.post("/v1/feedback", sent)
        assert (reply.status, reply.error["code"]) == (503, "journal_full")
        assert (await scene.post()).status == 200
        scene.full = False
        assert (await scene.post("/v1/feedback", sent)).status == 202
