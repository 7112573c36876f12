"""Who chose the replies that get a label, as the gateway's events say it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from monitor.selection.audit import chosen
from serving.settings import GatewaySettings
from tests.serving.gateway.test_feedback import asked, say
from tests.serving.support.scene import Scene


@pytest.fixture
async def audited() -> AsyncIterator[Scene]:
    """Half of the replies are audited, and the key labels all of its own."""
    made = Scene()
    made.settings = GatewaySettings(audit_share=0.5)
    made.sources = {"app": "complete", "client": "random"}
    async with made.running():
        yield made


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
