"""The arm that was drawn for a request stands in its event, its id and its labels, whichever version answered."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streams.ingest.arms import complains, unit
from streams.kinds import Arm
from tests.serving.support.scene import BODY, NEW, NEW_DIGEST, OLD, OLD_DIGEST, Scene
from tests.streams.support.traffic import feedback, served


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
        another = msgspec.structs.replace(events[0], user="another")
        assert (unit(another) == unit(events[0])) is bool(headers), "the conversation goes first"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"thumb": False, "correct": None}, True),
        ({"thumb": True, "correct": None}, False),
        ({"score": 0.2, "correct": None}, True),
        ({"score": 0.5, "correct": None}, False),
        ({"correction": "x", "correct": None}, True),
        ({"correction": "x", "correct": True}, False),
        ({"label": "x", "correct": False}, True),
        ({"label": "x", "correct": None}, False),
    ],
)
def test_what_is_a_complaint(given: dict[str, Any], complaint: bool) -> None:
    plain = msgspec.structs.replace(feedback(served("support", 1), True), label=None, correct=None)
    assert complains(msgspec.structs.replace(plain, **given)) is complaint
