"""Who asks: what the key says no client can say otherwise; bodies and headers name users and conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from serving import metrics
from serving.gateway import caller
from serving.gateway.access.admission import Admission
from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError
from streams.events import InferenceServed
from streams.ingest.arms import unit
from tests.serving.support.clock import ManualClock
from tests.serving.support.raw_engine import always, saying, whole
from tests.serving.support.scene import BODY, NEW, SIGNER, Scene

INPUT = {"model": "support", "input": "x"}
RESPONSES = "/v1/responses"


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    scene.keys += [
        replace(Key.of("acme-1", "bound", tags={"tenant": "acme", "group": "gold"}), max_answers=3),
        Key.of("acme-2", "bound too", tags={"tenant": "acme"}),
        replace(Key.of("ann", "ann's own"), user="ann"),
    ]
    async with scene.running():
        yield scene


async def last(scene: Scene, count: int = 1) -> InferenceServed:
    return (await scene.served(count))[-1]


@pytest.mark.parametrize(
    ("body", "headers", "key", "user"),
    [
        ({"user": "ann"}, {}, "secret", "ann"),
        ({"safety_identifier": "ann"}, {}, "secret", "ann"),
        ({"user": "ann", "safety_identifier": "bob"}, {"x-homeostat-user": "eve"}, "secret", "ann"),
        ({}, {"x-homeostat-user": "ann"}, "secret", "ann"),
        ({}, {"x-homeostat-user": "\u00e4nn"}, "secret", "\u00e4nn"),
        ({"user": "eve"}, {"x-homeostat-user": "eve"}, "ann's own", "ann"),
        ({"prompt_cache_key": "ann"}, {}, "secret", ""),
    ],
)
async def test_the_end_user_is_the_keys_else_the_bodys_else_a_headers(
    scene: Scene, body: dict[str, Any], headers: dict[str, str], key: str, user: str
) -> None:
    await scene.post(body={**BODY, **body}, headers=headers, key=key)
    assert (await last(scene)).user == (SIGNER.pseudonym(user) if user else "")


@pytest.mark.parametrize(
    ("body", "headers", "conversation"),
    [
        ({}, {"x-session-id": "c"}, "c"),
        ({"conversation": "c"}, {}, "c"),
        ({"conversation": {"id": "c"}}, {}, "c"),
        ({"conversation": "d", "previous_response_id": "e"}, {"x-session-id": "c"}, "c"),
        ({"previous_response_id": "c"}, {}, "c"),
        ({"conversation": ["c"]}, {}, ""),
        ({"conversation": "c" * 5_000}, {}, ""),
        ({"conversation": "c"}, {"x-session-id": "d" * 5_000}, "c"),
        ({"conversation": 7}, {}, ""),
    ],
)
async def test_the_conversation_is_a_headers_else_the_bodys(
    scene: Scene, body: dict[str, Any], headers: dict[str, str], conversation: str
) -> None:
    await scene.post(RESPONSES, {**INPUT, **body}, headers=headers)
    named = SIGNER.pseudonym(f"conversation {conversation}") if conversation else ""
    assert (await last(scene)).conversation == named


async def test_responses_that_name_the_one_before_are_one_conversation(scene: Scene) -> None:
    found, previous = [], None
    for i in range(3):
        body = b'{"id":"r%d","status":"completed","output":[]}' % i
        async with saying(always(whole(body))) as engine:
            for k in range(2):
                scene.attest(k, url=engine.url)
            await scene.post(RESPONSES, {**INPUT, **({"previous_response_id": previous} if previous else {})})
        previous = f"r{i}"
        found.append(await last(scene, i + 1))
    first = SIGNER.pseudonym(f"conversation {found[0].id}")
    assert [each.conversation for each in found] == ["", first, first]


@pytest.mark.parametrize("more", [{}, {"user": "ann"}], ids=["nobody", "a user"])
@pytest.mark.parametrize("salt", ["a", "b", "c", "d", "e", "f"])
async def test_a_conversation_by_responses_keeps_the_arm_that_was_drawn_for_its_first(
    scene: Scene, salt: str, more: dict[str, str]
) -> None:
    scene.route(canary=NEW, weight=0.5, salt=salt)
    async with saying(always(whole(b'{"id":"r","status":"completed","output":[]}'))) as engine:
        for k in range(2):
            scene.attest(k, url=engine.url)
        await scene.post(RESPONSES, {**INPUT, **more})
        await scene.post(RESPONSES, {**INPUT, **more, "previous_response_id": "r"})
    first, second = await scene.served(2)
    assert (first.assigned, unit(first)) == (second.assigned, unit(second)) != (first.assigned, 0)


def test_of_many_responses_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller, "TURNS", 2)
    turns = caller.Turns()
    for response in ("a", "b", "c"):
        turns.note(response, "root", "root")
    assert [turns.root(response)[0] for response in ("a", "b", "c")] == ["a", "root", "root"]


async def test_no_header_says_otherwise_than_the_key(scene: Scene) -> None:
    ignored = metrics.TAGS_IGNORED.labels("tenant")._value.get()
    headers = {"x-homeostat-tenant": "rival", "x-homeostat-language": "de", "x-homeostat-group": "gold"}
    await scene.post(headers=headers, key="bound")
    assert (await last(scene)).tags == {"tenant": "acme", "group": "gold", "language": "de"}
    assert metrics.TAGS_IGNORED.labels("tenant")._value.get() == ignored + 1
    await scene.post(headers=headers)
    assert (await last(scene, 2)).tags == {"tenant": "rival", "language": "de", "group": "gold"}


async def test_tags_by_header_can_be_forbidden() -> None:
    scene = Scene()
    scene.settings = replace(scene.settings, tags_by_header=False)
    scene.keys.append(Key.of("acme", "bound", tags={"tenant": "acme"}))
    async with scene.running():
        for key in ("secret", "bound"):
            await scene.post(headers={"x-homeostat-tenant": "rival", "x-homeostat-language": "de"}, key=key)
        assert [event.tags for event in await scene.served(2)] == [{}, {"tenant": "acme"}]


async def test_a_tenants_keys_mask_alike_and_a_header_makes_no_tenant(scene: Scene) -> None:
    asked = {**BODY, "messages": [{"role": "user", "content": "I am ann@example.org"}]}
    for key in ("bound", "bound too", "secret"):
        await scene.post(body=asked, key=key, headers={"x-homeostat-tenant": "acme"})
    one, other, stranger = await scene.served(3)
    assert one.input_messages == other.input_messages != stranger.input_messages
    assert one.tenant == other.tenant != stranger.tenant


async def test_a_keys_answers_are_bounded_whatever_the_request_hides_them_in(scene: Scene) -> None:
    for body in ({"n": 4}, {"n": "4.0", "best_of": None}, {"n": 2, "best_of": 4}):
        reply = await scene.post(body={**BODY, **body}, key="bound")
        assert (reply.status, reply.error["code"]) == (400, "too_much")
        assert "4 answers, and the API key acme-1 may have 3 under way" in reply.error["message"]
    many = {"model": "support", "prompt": ["x"] * 3}
    assert [(await scene.post("/v1/completions", many, key="bound")).status for _ in range(2)] == [200, 200]
    embedded = await scene.post("/v1/embeddings", {"model": "support", "input": ["x"] * 4}, key="bound")
    assert (embedded.status, embedded.error["code"]) == (400, "too_much")


def test_answers_under_way_count_until_they_are_over() -> None:
    admission, key, other = Admission(9, ManualClock(), 3), Key("app", ""), Key("other", "", max_answers=1)
    over = admission.begin(key, 2)
    with pytest.raises(ApiError, match="has 2 answers under way and asks for 2, expected 3 at most") as refused:
        admission.begin(key, 2)
    assert (refused.value.status, refused.value.code) == (429, "too_many_answers")
    admission.begin(key, 1)()
    admission.begin(other, 1)
    over()
    admission.begin(key, 3)
