"""The arm that was drawn for a request stands in its event, its id and its labels, whichever version answered."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streams.ingest.arms import complains, rated, unit
from streams.kinds import Arm
from tests.serving.support.raw_engine import always, saying, whole
from tests.serving.support.scene import BODY, NEW, NEW_DIGEST, OLD, OLD_DIGEST, Scene
from tests.streams.support.traffic import feedback, served

INPUT = {"model": "support", "input": "x"}
RESPONSES = "/v1/responses"


async def test_a_canary_that_is_missing_is_answered_for_by_the_champion() -> None:
    async with Scene().running() as scene:
        for number in (0, 1):
            scene.attest(number, {OLD: OLD_DIGEST})
        scene.route(canary=NEW, weight=1.0, salt="5f")
        reply = await scene.post()
        (event,) = await scene.served(1)
        assert (event.version, event.arm, event.assigned) == (OLD, Arm.CHAMPION, Arm.CANARY)
        request_id = reply.headers["x-homeostat-request-id"]
        assert (await scene.post("/v1/feedback", {"request_id": request_id, "label": "x"})).status == 202
        (given,) = await scene.feedback()
        assert (given.arm, given.assigned) == (Arm.CHAMPION, Arm.CANARY)


async def test_a_canary_that_nothing_can_answer_for_has_failed() -> None:
    async with Scene().running() as scene:
        for number in (0, 1):
            scene.attest(number, {})
        scene.route(canary=NEW, weight=1.0, salt="5f")
        assert (await scene.post()).status == 503
        (event,) = await scene.served(1)
        assert (event.version, event.arm, event.assigned) == (OLD, Arm.CHAMPION, Arm.CANARY)


@pytest.mark.parametrize(
    ("body", "headers"),
    [({"user": "ann"}, {}), ({}, {"x-session-id": "chat-1"}), ({"user": "ann"}, {"x-session-id": "chat-1"})],
)
async def test_a_conversation_else_an_end_user_keeps_its_arm(body: dict[str, str], headers: dict[str, str]) -> None:
    async with Scene().running() as scene:
        for number in (0, 1):
            scene.attest(number, {OLD: OLD_DIGEST, NEW: NEW_DIGEST})
        scene.route(canary=NEW, weight=0.5, salt="5f")
        for _ in range(12):
            await scene.post(body={**BODY, **body}, headers=headers)
        events = await scene.served(12)
        assert len({(event.arm, event.assigned, unit(event)) for event in events}) == 1
        await scene.post(body={**BODY, **body, "user": "another"}, headers=headers)
        another = (await scene.served(13))[-1]
        assert (unit(another) == unit(events[0])) is bool(headers), "the conversation goes first"


async def test_an_arm_drawn_by_the_user_counts_as_the_users_in_all_his_conversations() -> None:
    """Two conversations by responses that name the one before: both began without a name, and so in the user's arm."""
    async with Scene().running() as scene:
        scene.route(canary=NEW, weight=0.5, salt="5f")
        async with saying(always(whole(b'{"id":"r","status":"completed","output":[]}'))) as engine:
            for number in (0, 1):
                scene.attest(number, {OLD: OLD_DIGEST, NEW: NEW_DIGEST}, url=engine.url)
            for _ in range(2):
                first = await scene.post(RESPONSES, {**INPUT, "user": "ann"})
                await scene.post(RESPONSES, {**INPUT, "previous_response_id": first.body["id"]})
        events = await scene.served(4)
        assert len({event.conversation for event in events}) == 3
        assert len({(event.assigned, unit(event)) for event in events}) == 1


async def test_a_request_alone_is_a_unit_alone_and_events_from_before_count_by_their_names() -> None:
    async with Scene().running() as scene:
        await scene.post()
        (event,) = await scene.served(1)
    assert (event.drawn, unit(event)) == ("", 0)
    old = msgspec.structs.replace(event, user="ann", conversation="chat")
    assert unit(old) == unit(msgspec.structs.replace(old, user="bob")) != 0


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"thumb": False, "loss": None}, True),
        ({"thumb": True, "loss": None}, False),
        ({"score": 0.2, "loss": None}, True),
        ({"score": 0.5, "loss": None}, False),
        ({"correction": "x", "loss": None}, True),
        ({"correction": "x", "loss": 0.0}, False),
        ({"label": "x", "loss": 1.0}, True),
        ({"label": "x", "loss": None}, False),
    ],
)
def test_what_is_a_complaint(given: dict[str, Any], complaint: bool) -> None:
    plain = msgspec.structs.replace(feedback(served("support", 1), True), label=None, loss=None)
    assert complains(msgspec.structs.replace(plain, **given)) is complaint


@pytest.mark.parametrize(
    ("given", "losses"),
    [
        ({"thumb": False, "origin": "random/app"}, {"thumb": 1.0}),
        ({"thumb": True, "score": 0.7, "origin": "audit"}, {"thumb": 0.0, "score": 0.3}),
        ({"score": 0.0, "origin": "complete/crm"}, {"score": 1.0}),
        ({"label": "x", "origin": "random/app"}, {}),
        ({"thumb": False, "origin": "volunteered/app"}, {}),
        ({"thumb": False, "origin": "wanted/app"}, {}),
        ({"thumb": False, "origin": ""}, {}),
    ],
)
def test_what_is_a_rating(given: dict[str, Any], losses: dict[str, float]) -> None:
    plain = msgspec.structs.replace(feedback(served("support", 1), True), label=None, loss=None)
    assert rated(msgspec.structs.replace(plain, **given)) == losses


def test_a_score_that_is_none_is_named() -> None:
    plain = msgspec.structs.replace(feedback(served("support", 1), True), origin="random/app", score=7.0)
    with pytest.raises(ValueError, match=r"score is 7\.0, expected a number from 0 to 1"):
        rated(plain)
