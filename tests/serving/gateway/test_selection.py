"""Who chose the replies that get a label, as the gateway's events say it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.selection.audit import chosen
from serving.settings import GatewaySettings
from streams.identity import ReplyDraw
from tests.serving.gateway.test_feedback import asked, say
from tests.serving.support.scene import SIGNER, Scene


@pytest.fixture
async def audited() -> AsyncIterator[Scene]:
    """Half of the replies are audited, and the key labels all of its own."""
    made = Scene()
    made.settings = GatewaySettings(audit_share=0.5)
    made.sources = {"app": "complete", "client": "random"}
    async with made.running():
        yield made


@pytest.fixture
async def drawing() -> AsyncIterator[Scene]:
    """The key labels what was drawn."""
    made = Scene()
    made.sources = {"app": "wanted"}
    async with made.running():
        yield made


async def test_a_label_of_a_drawn_reply_brings_its_chance_and_no_other_label_is_drawn(drawing: Scene) -> None:
    first, second = await asked(drawing), await asked(drawing)
    draw = SIGNER.sign_draw(SIGNER.read(first).event_id, ReplyDraw(0.1, 0.025))
    await say(drawing, first, label="x", draw=draw)
    await say(drawing, second, label="x")
    drawn, other = await drawing.feedback(2)
    assert (drawn.origin, drawn.share, drawn.probability) == ("wanted/app", 0.1, 0.025)
    assert (other.origin, other.share, other.probability) == ("volunteered/app", None, None)


async def test_a_client_invents_no_chance(drawing: Scene) -> None:
    one, other = await asked(drawing), await asked(drawing)
    draw = SIGNER.sign_draw(SIGNER.read(other).event_id, ReplyDraw(0.1, 0.025))
    for given in (draw, draw.replace("0.025", "0.5"), "0.1:0.5:k1:", "nonsense"):
        reply = await drawing.post("/v1/feedback", {"request_id": one, "label": "x", "draw": given})
        assert (reply.status, reply.error["code"], reply.error["param"]) == (400, "unknown_draw", "draw")
        assert "expected it as `homeostat labels wanted --draw` gives it" in reply.error["message"]
    odd = await drawing.post("/v1/feedback", {"request_id": one, "label": "x", "draw": 7})
    assert (odd.status, odd.error["param"]) == (400, "draw")
    assert await drawing.feedback(0) == []


async def test_a_draw_makes_no_volunteer_a_judge(scene: Scene) -> None:
    given = await asked(scene)
    await say(scene, given, label="x", draw=SIGNER.sign_draw(SIGNER.read(given).event_id, ReplyDraw(0.1, 0.1)))
    (event,) = await scene.feedback()
    assert event.origin.partition("/")[0] == "volunteered"


async def test_a_label_of_a_source_that_nobody_declared_is_volunteered(scene: Scene) -> None:
    await say(scene, await asked(scene), label="x")
    (event,) = await scene.feedback()
    (served,) = await scene.served()
    assert event.origin.partition("/")[0] == "volunteered"
    assert served.cohorts == []


async def test_audited_replies_are_those_that_their_id_chooses(audited: Scene) -> None:
    for _ in range(20):
        await asked(audited)
    served = await audited.served(20)
    picked = [each for each in served if "audit" in each.cohorts]
    assert [each.id for each in picked] == [each.id for each in served if chosen(each.id, 0.5)]
    assert 2 <= len(picked) <= 18
    assert {name for each in served for name in each.cohorts} == {"audit", "complete/app"}


async def test_what_is_declared_of_the_key_goes_before_what_the_feedback_says(audited: Scene) -> None:
    await say(audited, await asked(audited), label="x")
    (event,) = await audited.feedback()
    assert event.origin == "complete/app"
